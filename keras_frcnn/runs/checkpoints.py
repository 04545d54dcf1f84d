"""The checkpoints of a run: RUN/checkpoints/step-00001500.keras, the newest few of them.

Each is an ordinary Keras file of model and optimizer with one member more, `sums.json`: the sums
behind the means of the log's next row. The file is written beside the others and then takes its
name, so that a process killed at any moment leaves whole checkpoints only.
"""

import errno
import itertools
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.models import faster_rcnn  # noqa: F401 (registers layers that files name)

SUMS = "sums.json"
MEMBERS = ("config.json", "metadata.json", "model.weights.h5")  # of any Keras model
_NAME = re.compile(r"step-(\d{8,})\.keras")
# What `zipfile` raises for an archive that is not as it was written; RuntimeError for one that says
# it is encrypted.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError),
    *(NotImplementedError, RuntimeError),
)
_OF_WORKERS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
# Half-written files of a killed process: ours, and one Keras makes where memory is short.
_LEFTOVERS = (".*.partial.keras", "tmp????????")


class DamagedCheckpoint(InputError):
    """A checkpoint cannot be loaded."""


def checkpoint_path(run: Path, step: int) -> Path:
    """The checkpoint of a run after `step` mini-batches."""
    return run / "checkpoints" / f"step-{step:08d}.keras"


def checkpoint_step(path: Path) -> int:
    """The mini-batches done when a checkpoint was made."""
    return int(_NAME.fullmatch(path.name)[1])


def checkpoint_paths(run: Path) -> list[Path]:
    """The checkpoints a run has, newest first."""
    found = [p for p in (run / "checkpoints").glob("*.keras") if _NAME.fullmatch(p.name)]
    return sorted(found, key=checkpoint_step, reverse=True)


def save_checkpoint(run: Path, model: keras.Model, keep: int, writes: bool = True) -> Path:
    """Write the state of a training; the newest `keep` checkpoints stay.

    Of several workers all call this, since the sums of metrics are those of all, and one `writes`.
    Also removes checkpoints of later steps, which were damaged or training would have gone on
    from there.

    Raises:
        InputError: the disk cannot be written; the earlier checkpoints are as they were.
    """
    path = checkpoint_path(run, int(model.optimizer.iterations.numpy()))
    sums = [variable.numpy().tolist() for variable in model.metrics_variables]
    if not writes:
        return path
    make_folder(path.parent)
    with replacing(path) as partial:
        model.save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(SUMS, json.dumps(sums))
    paths = checkpoint_paths(run)
    for other in set(paths) - set(paths[paths.index(path) :][:keep]):
        other.unlink()
    return path


def read_checkpoint(path: Path, compile: bool = False) -> keras.Model:
    """Load the model of a checkpoint; with `compile` the optimizer's state as well.

    Raises:
        DamagedCheckpoint: the file is not what was written: a checksum or the structure is wrong.
        InputError: it is whole but cannot be loaded, for want of a permission, of room for
            temporary files, or of a module that it needs.
    """
    _check_whole(path)
    try:
        return keras.saving.load_model(path, compile=compile)
    except _OF_WORKERS:  # that share the variables, and one of which is gone
        raise
    except Exception as error:  # Keras and h5py have no narrower one for a file made by a stranger
        reason = " ".join(str(error).split())[:500]
        raise InputError(f"{path}: is whole, but cannot be loaded: {reason}") from error


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is what was written; reads all of it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        _check_whole(path)
    except DamagedCheckpoint:
        return False
    return True


def _check_whole(path: Path) -> None:
    """Keras reads weights without looking at the checksums."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            missing = set(MEMBERS) - set(archive.namelist())
    except _DAMAGE as error:
        raise DamagedCheckpoint(f"{path}: is damaged ({error})") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # an offset in the archive that is none
            raise DamagedCheckpoint(f"{path}: is damaged ({error})") from error
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if damaged is not None:
        raise DamagedCheckpoint(f"{path}: is damaged ({damaged} has another checksum)")
    if missing:
        raise DamagedCheckpoint(f"{path}: is no Keras model, it has no {min(missing)}")


def read_sums(path: Path) -> list[float]:
    """The values that `model.metrics_variables` had when a checkpoint was made.

    Raises:
        InputError: the file has none, as a model that was saved by other means.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sums = json.loads(archive.read(SUMS))
    except (KeyError, RecursionError, *_DAMAGE) as error:
        raise InputError(
            f"{path}: has no {SUMS} of numbers, so that a training cannot go on from it"
        ) from error
    is_list = isinstance(sums, list) and all(type(value) in (int, float) for value in sums)
    if not is_list or not np.isfinite(np.array(sums, np.float64)).all():
        raise InputError(f"{path}: its {SUMS} is no list of finite numbers")
    return sums


def remove_leftovers(run: Path) -> None:
    """Remove what a training left half-written that was killed while it saved; none is running."""
    for folder, pattern in itertools.product((run, run / "checkpoints"), _LEFTOVERS):
        for path in folder.glob(pattern):
            if not path.is_dir():
                path.unlink()


def is_finite(model: keras.Model) -> bool:
    """Whether all weights of the model and the state of its optimizer are finite numbers."""
    variables = [*model.variables, *model.optimizer.variables]
    return all(
        bool(tf.reduce_all(tf.math.is_finite(v.value)))
        for v in variables
        if keras.backend.is_float_dtype(v.dtype)
    )
