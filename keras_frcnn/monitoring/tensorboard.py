"""TensorBoard's event files: numbers and pictures of a training run.

An event file is a TFRecord file of `Event` messages. They are written as such, rather than with
`tf.summary`, because that needs the package tensorboard, which TensorFlow does not install any
more from 2.20 on, and because it cannot tell TensorBoard that a run resumed at an earlier step.
"""

import io
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf
from PIL import Image

from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder

_Event, _Summary, _SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog


class EventFile:
    """A new event file in the folder of a run.

    Args:
        folder: made where it is missing; holds the files of earlier parts of the run.
        start: steps the run has done. What earlier files say of later steps is taken back: the
            resumed run does them again.

    Raises:
        InputError: here and in every method, if the disk cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, start: int = 0):
        folder = Path(folder)
        make_folder(folder)
        # TensorBoard reads the files of a folder in the order of their names.
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._file = _written(self.path, tf.io.TFRecordWriter, str(self.path))
        self._write(_Event(wall_time=time.time(), file_version="brain.Event:2"))
        restart = _SessionLog(status=_SessionLog.START)  # forget steps from here on
        self._write(_Event(wall_time=time.time(), step=start + 1, session_log=restart))
        self.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by their tags; those that are not finite are left out."""
        values = [
            _Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if math.isfinite(value)
        ]
        self._write(_Event(wall_time=time.time(), step=step, summary=_Summary(value=values)))

    def image(self, step: int, tag: str, image: Image.Image) -> None:
        """Write a picture."""
        encoded = io.BytesIO()
        image.convert("RGB").save(encoded, "PNG")
        content = _Summary.Image(
            width=image.width,
            height=image.height,
            colorspace=3,
            encoded_image_string=encoded.getvalue(),
        )
        summary = _Summary(value=[_Summary.Value(tag=tag, image=content)])
        self._write(_Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Make visible what was written."""
        _written(self.path, self._file.flush)

    def close(self) -> None:
        """End the file."""
        _written(self.path, self._file.close)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _write(self, event) -> None:
        _written(self.path, self._file.write, event.SerializeToString())


class EventLog(keras.callbacks.Callback):
    """Write the log of every epoch: losses, rate and what other callbacks have put into it."""

    def __init__(self, events: EventFile):
        super().__init__()
        self.events = events

    def on_epoch_end(self, epoch, logs=None):
        """Write a point of every curve."""
        self.events.scalars(logs["step"], {k: float(v) for k, v in logs.items() if k != "step"})
        self.events.flush()


def _written(path: Path, write, *args):
    """What `write` returns; an `InputError` where the disk refuses."""
    try:
        return write(*args)
    except tf.errors.OpError as error:
        raise InputError(f"cannot write {path}: {error.message}") from error
