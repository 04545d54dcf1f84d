"""The progress of a training run on the screen: losses, rate, images a second, time left."""

import sys
import time

import keras
from tqdm import tqdm

_LOSSES = {
    "cls_score_loss": "class",
    "bbox_pred_loss": "box",
    "mask_logits_loss": "mask",
    "rpn_cls_score_loss": "anchor class",
    "rpn_bbox_pred_loss": "anchor box",
}


class Progress(keras.callbacks.Callback):
    """A bar over the whole run on a terminal; elsewhere a line an epoch, for log files.

    Keras's own bar counts the mini-batches of an epoch, which here is only the length of a row
    of the log. The losses are means since the last row. Images a second count the training steps
    with their waiting for input; the time left also what checkpoints and validation take.

    Args:
        steps: mini-batches of the whole run.
        images_per_batch: images of a mini-batch.
        file: where to write, standard error by default.
    """

    def __init__(self, steps: int, images_per_batch: int, file=None):
        super().__init__()
        self.steps = steps
        self.images_per_batch = images_per_batch
        self.file = file or sys.stderr

    def on_train_begin(self, logs=None):
        """Show a bar where there is a terminal."""
        self._step = int(self.model.optimizer.iterations.numpy())
        self._warm = None
        self._bar = tqdm(
            total=self.steps,
            initial=self._step,
            file=self.file,
            disable=not self.file.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def on_epoch_begin(self, epoch, logs=None):
        """Measure the speed anew."""
        self._batches, self._seconds = 0, 0.0

    def on_train_batch_begin(self, batch, logs=None):
        """Start the clock."""
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar on."""
        now = time.perf_counter()
        self._step += 1
        if self._warm is None:  # the first step of a run builds the graph: no measure of speed
            self._warm = (self._step, now)
        else:
            self._batches += 1
            self._seconds += now - self._begun
        self._bar.set_postfix_str(self._text(logs), refresh=False)
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Write a line where there is no bar."""
        if self._bar.disable:
            text = f"step {self._step}/{self.steps}, {self._text(logs)}"
            print(text, file=self.file, flush=True)

    def on_train_end(self, logs=None):
        """Leave the finished bar on the screen."""
        self._bar.close()

    def _text(self, logs) -> str:
        rate = float(self.model.optimizer.learning_rate.numpy())
        speed = self._batches * self.images_per_batch / self._seconds if self._batches else 0
        losses = ", ".join(
            f"{name} {logs[column]:.3f}" for column, name in _LOSSES.items() if column in logs
        )
        return (
            f"loss {logs['loss']:.3f} ({losses}), rate {rate:.3g}, {speed:.3g} images/s, "
            f"{self._left()} left"
        )

    def _left(self) -> str:
        first, then = self._warm
        if self._step == first:
            return "?"
        pace = (time.perf_counter() - then) / (self._step - first)
        return tqdm.format_interval(pace * (self.steps - self._step))
