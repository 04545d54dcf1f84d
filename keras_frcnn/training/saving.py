"""What stands around the steps of a run: checkpoints, validations, and images that vanish."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.data.dataset import ImageRecord, ImageSet
from keras_frcnn.data.images import decode_image, read_image
from keras_frcnn.errors import InputError
from keras_frcnn.monitoring.validation import Validation
from keras_frcnn.runs.checkpoints import is_finite, save_checkpoint
from keras_frcnn.settings import Settings
from keras_frcnn.training.callbacks import StopOnNaN


class Saving:
    """Called after each step: a checkpoint where one is due, then the validation of what it saved.

    A checkpoint is due every so many steps, before a validation, after the last step, and when a
    signal came, which ends the training.

    Args:
        run: the run directory.
        model: in training; its state is whole when this is called.
        settings: of the run.
        every: steps between checkpoints, and between those that are validated.
        validations: if this worker makes them.
        is_stopping: whether a signal has come, to any worker.
        nan_guard: for the error about weights that are not finite, which are not saved.
        writes: whether this worker does; the others take part.
    """

    def __init__(
        self,
        run: Path,
        model: keras.Model,
        settings: Settings,
        every: Sequence[int],
        validations: Validation | None,
        is_stopping: Callable[[], bool],
        nan_guard: StopOnNaN,
        writes: bool = True,
    ):
        self.run = run
        self.model = model
        self.settings = settings
        self.every = every
        self.validations = validations
        self.is_stopping = is_stopping
        self.nan_guard = nan_guard
        self.writes = writes
        self.done = int(model.optimizer.iterations.numpy())  # the last step that is whole

    def __call__(self, step: int) -> None:
        """Save and validate what is due after step number `step`."""
        self.done = step
        if self._is_due(step):
            if not is_finite(self.model):
                raise self.nan_guard.error("weights or momentum are not finite")
            save_checkpoint(self.run, self.model, self.settings.keep_checkpoints, self.writes)
        if self.validations is not None and self.validations.is_due(step):
            self.validations.validate(step)
        self.model.stop_training = self.is_stopping()

    def _is_due(self, step):
        is_last = step == self.settings.steps
        return is_last or any(step % n == 0 for n in self.every) or self.is_stopping()


@contextmanager
def unreadable_images_named(
    saving: Saving, records: Callable[[int], Sequence[ImageRecord]], images: ImageSet
) -> Iterator[None]:
    """If TensorFlow fails in the block because it cannot read an image, say which.

    Args:
        saving: knows the last step that was done; not so the optimizer, whose count a step may
            advance although its images failed.
        records: gives the images of a mini-batch by its number, counted from 0.
        images: what is trained on.

    Raises:
        InputError: an image of the step cannot be read any more, or the file of its proposals.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for record in records(saving.done):
            if fault := _fault(record):
                raise InputError(
                    f"step {saving.done + 1} cannot read its images. {fault}. Put it back and go "
                    "on with --resume"
                ) from error
        if images.proposals is not None:
            places = {record.filename: i for i, record in enumerate(images.dataset.images)}
            for record in records(saving.done):
                images.proposals[places[record.filename]]  # says so if it cannot be read
        raise


def _fault(record: ImageRecord) -> str:
    """Why the image cannot be read; "" if it can."""
    try:
        read_image(record.path, record.orientation)
        decode_image(tf.io.read_file(record.path), record.orientation)
    except InputError as error:
        return str(error)
    except tf.errors.OpError:  # Pillow is more forgiving with damaged tables of a JPEG file
        return f"{record.path}: TensorFlow cannot decode it; save it anew"
    return ""
