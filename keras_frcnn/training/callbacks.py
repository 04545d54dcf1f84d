"""Keras callbacks of a training run: the rate's schedule, dropout masks, divergence and log."""

import math
from collections.abc import Callable, Sequence

import keras

from keras_frcnn.errors import InputError
from keras_frcnn.training.cluster import ALONE, Cluster


def _step(model: keras.Model) -> int:
    """Mini-batches done so far, resumed ones included."""
    return int(model.optimizer.iterations.numpy())


class StepDecay(keras.callbacks.Callback):
    """Multiply the learning rate by `factor` at given steps (paper section 2.3).

    Args:
        rate: the rate at the start, the paper's 0.001; it takes the place of the optimizer's.
        steps: the mini-batches after which it drops, the paper's [30000].
        factor: the paper's 0.1.
        warmup: mini-batches over which the rate first rises linearly: the first has 1 / warmup
            of it, the last all. None in the paper, which starts from pretrained weights.
    """

    def __init__(
        self,
        rate: float = 0.001,
        steps: Sequence[int] = (30000,),
        factor: float = 0.1,
        warmup: int = 0,
    ):
        super().__init__()
        self.rate = rate
        self.steps = tuple(steps)
        self.factor = factor
        self.warmup = warmup

    def rate_at(self, step: int) -> float:
        """The rate of mini-batch `step`, counted from 0."""
        ramp = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.rate * ramp * self.factor ** sum(step >= s for s in self.steps)

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate of the batch that begins."""
        self.model.optimizer.learning_rate.assign(self.rate_at(_step(self.model)))

    def on_epoch_end(self, epoch, logs=None):
        """Put step and rate into the log."""
        logs["step"] = _step(self.model)
        logs["learning_rate"] = self.rate_at(logs["step"] - 1)


class DropoutMasks(keras.callbacks.Callback):
    """Make the dropout masks of a mini-batch a function of (seed, step, device).

    Keras saves no random state: without this a resumed run would draw other masks than an
    uninterrupted one.

    Args:
        seed: of the training.
        workers: the devices of one come after those of the workers before it.
    """

    def __init__(self, seed: int, workers: Cluster = ALONE):
        super().__init__()
        self.seed = seed
        self.workers = workers

    def on_train_begin(self, logs=None):
        """Find the layers that drop."""
        self._states = [
            self.model.distribute_strategy.experimental_local_results(
                layer.seed_generator.state.value
            )
            for layer in self.model.layers
            if isinstance(layer, keras.layers.Dropout) and layer.rate
        ]

    def on_train_batch_begin(self, batch, logs=None):
        """Set the random state of each layer on each device."""
        step = _step(self.model)
        first = step * self.workers.count + self.workers.index
        for i, replicas in enumerate(self._states):
            for replica, state in enumerate(replicas):
                state.assign([self.seed + i, first * len(replicas) + replica])


class StopOnNaN(keras.callbacks.Callback):
    """End training by an error when the loss is no longer a number, before it is saved.

    Args:
        filenames: gives the images of mini-batch n, counted from 0.
    """

    def __init__(self, filenames: Callable[[int], Sequence[str]]):
        super().__init__()
        self.filenames = filenames

    def on_train_batch_end(self, batch, logs=None):
        """Look at the loss of the batch."""
        if not math.isfinite(logs["loss"]):
            raise self.error(f"the loss is {logs['loss']}")

    def error(self, what: str) -> InputError:
        """The error that names the step and its images."""
        step = _step(self.model)
        return InputError(
            f"{what} at step {step} (images: {', '.join(self.filenames(step - 1))}): the training "
            "has diverged. Train anew, with a lower --rate or with --warmup, into another --out"
        )
