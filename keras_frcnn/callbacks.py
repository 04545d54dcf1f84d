"""Keras callbacks of a training run: the rate's schedule, when to stop, log and checkpoints."""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_frcnn.errors import InputError
from keras_frcnn.files import replacing


def _step(model: keras.Model) -> int:
    """Mini-batches done so far, resumed ones included."""
    return int(model.optimizer.iterations.numpy())


class StepDecay(keras.callbacks.Callback):
    """Multiply the learning rate by `factor` at given steps (paper section 2.3).

    Args:
        rate: the rate at the start, the paper's 0.001.
        steps: the mini-batches after which it drops, the paper's [30000].
        factor: the paper's 0.1.
        warmup: mini-batches over which the rate first rises linearly from 0; none in the paper,
            which starts from pretrained weights.
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


class StopAtStep(keras.callbacks.Callback):
    """End training after mini-batch `step`, counted over the whole life of the optimizer."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        """Stop when the time has come."""
        if _step(self.model) >= self.step:
            self.model.stop_training = True


class StopOnNaN(keras.callbacks.Callback):
    """End training by an error when the loss is no longer a number, before it is saved."""

    def on_train_batch_end(self, batch, logs=None):
        """Look at the loss of the batch."""
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} at step {_step(self.model)}: the training has "
                "diverged. Train anew, with a lower --rate or with --warmup, into another --out"
            )


class Log(keras.callbacks.Callback):
    """Keep the means of each epoch in a CSV file: step, learning_rate, loss and its parts.

    Keras's own `CSVLogger` adds a column of NA for the validation of each.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = Path(path)

    def on_epoch_end(self, epoch, logs=None):
        """Write a row; `StepDecay`, earlier in the list, has put step and rate into it."""
        rows = self._rows()
        columns = ["step", "learning_rate", "loss"]
        columns += sorted(logs.keys() - set(columns))
        self._write([*rows, {column: logs[column] for column in columns}])

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps: a run that resumes will do these again."""
        self._write([row for row in self._rows() if int(row["step"]) <= step])

    def _rows(self) -> list[dict]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: list[dict]) -> None:
        with replacing(self.path) as partial, partial.open("w", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


class Checkpoint(keras.callbacks.Callback):
    """Save model and optimizer every `every` mini-batches and at the end.

    The file is written beside the old one and then takes its place: an interrupted write leaves
    the old checkpoint as it was.
    """

    def __init__(self, path: str | os.PathLike, every: int):
        super().__init__()
        self.path = Path(path)
        self.every = every

    def on_train_batch_end(self, batch, logs=None):
        """Save when the time has come."""
        if _step(self.model) % self.every == 0:
            self.save()

    def on_train_end(self, logs=None):
        """Save the final state."""
        if _step(self.model) % self.every:
            self.save()

    def save(self):
        """Write the checkpoint."""
        with replacing(self.path) as partial:
            self.model.save(partial)
