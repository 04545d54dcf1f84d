"""Callbacks of a training that counts in steps and may begin anywhere.

Keras counts epochs from where `fit` begins. A run that was stopped in the middle of one would
then write other rows into its log than one that was not.
"""

from collections.abc import Callable, Sequence

import keras

from keras_frcnn.errors import InputError


class StepCallbacks(keras.callbacks.CallbackList):
    """Gives callbacks the epochs of the run: `epoch_steps` mini-batches from step 0 on.

    Pass it to a `fit` of one Keras epoch, which lasts from the present step to `last_step`. The
    callbacks see `on_epoch_begin` and `on_epoch_end` where the run's epochs begin and end, and
    numbers of mini-batches within these. The means of losses and metrics begin anew with each.
    The last epoch of the run also ends where it is shorter.

    Args:
        callbacks: called in this order.
        model: compiled, with the optimizer's state of the present step.
        epoch_steps: mini-batches of an epoch.
        last_step: the steps of the whole run.
        sums: what `model.metrics_variables` had come to in an epoch that `fit` goes on with.
        after_step: called with the number of each finished step, after all callbacks and, at
            the end of an epoch, after the metrics are reset: the state of the training is whole.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        epoch_steps: int,
        last_step: int,
        sums: Sequence[float] | None,
        after_step: Callable[[int], None],
    ):
        super().__init__(
            list(callbacks),
            add_history=True,  # `fit` returns it
            model=model,
            steps=epoch_steps,
            epochs=-(-last_step // epoch_steps),
            verbose=0,
        )
        self.epoch_steps = epoch_steps
        self.last_step = last_step
        self.sums = sums
        self.after_step = after_step

    def on_epoch_begin(self, epoch, logs=None):
        """Begin in the run's epoch."""
        super().on_epoch_begin(self._step() // self.epoch_steps, logs)

    def on_train_batch_begin(self, batch, logs=None):
        """Number the mini-batch within its epoch."""
        super().on_train_batch_begin(self._step() % self.epoch_steps, logs)

    def on_train_batch_end(self, batch, logs=None):
        """End the epoch where it ends."""
        step = self._step()
        epoch, batch = divmod(step - 1, self.epoch_steps)
        if self.sums is not None:
            # Not before the step: Keras makes the metrics' variables in the first one. All of
            # them are sums, so that adding later gives the same number.
            variables = self.model.metrics_variables
            if len(variables) != len(self.sums):
                raise InputError(
                    f"sums.json in the newest checkpoint has {len(self.sums)} numbers, not "
                    f"{len(variables)}: it is of another training; remove the checkpoint"
                )
            for variable, value in zip(variables, self.sums, strict=True):
                variable.assign(variable + value)
            self.sums = None
            logs = self.model.get_metrics_result()
        super().on_train_batch_end(batch, logs)
        is_whole = batch + 1 == self.epoch_steps
        if is_whole or step == self.last_step:
            if self.model.distribute_strategy.num_replicas_in_sync > 1:
                # Those of a step are means over the devices; a share is one of all their images.
                logs = self.model.get_metrics_result()
            super().on_epoch_end(epoch, dict(logs))
        if is_whole:
            self.model.reset_metrics()
        self.after_step(step)
        if is_whole and step < self.last_step:
            super().on_epoch_begin(epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        """Nothing: Keras's epoch is the whole `fit`."""

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())
