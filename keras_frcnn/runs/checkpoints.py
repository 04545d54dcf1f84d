"""The checkpoints of a run: RUN/checkpoints/step-00001500.keras, the newest few of them.

Each is an ordinary Keras file of model and optimizer with one member more, `sums.json`: the sums
behind the means of the log's next row. The file is written beside the others and then takes its
name, so that a process killed at any moment leaves whole checkpoints only.
"""

import json
import re
import zipfile
from pathlib import Path

import keras
import tensorflow as tf

# For their registration: a checkpoint names these classes.
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, replacing

SUMS = "sums.json"
_NAME = re.compile(r"step-(\d{8,})\.keras")
# Half-written files of a killed process: ours, and one Keras makes where memory is short.
_LEFTOVERS = (".step-*.partial.keras", "tmp????????")


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


def save_checkpoint(run: Path, model: keras.Model, keep: int) -> Path:
    """Write the state of a training; the newest `keep` checkpoints stay.

    Also removes checkpoints of later steps, which were damaged or training would have gone on
    from there.

    Raises:
        InputError: the disk cannot be written; the earlier checkpoints are as they were.
    """
    path = checkpoint_path(run, int(model.optimizer.iterations.numpy()))
    make_folder(path.parent)
    with replacing(path) as partial:
        model.save(partial)
        sums = [variable.numpy().tolist() for variable in model.metrics_variables]
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(SUMS, json.dumps(sums))
    paths = checkpoint_paths(run)
    for other in set(paths) - set(paths[paths.index(path) :][:keep]):
        other.unlink()
    return path


def read_checkpoint(path: Path, compile: bool = False) -> keras.Model:
    """Load the model of a checkpoint; with `compile` the optimizer's state as well.

    Raises:
        DamagedCheckpoint: the file is damaged or no Keras model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # Keras reads weights without looking at the checksum
        if damaged is not None:
            raise DamagedCheckpoint(f"{path}: is damaged ({damaged} has another checksum)")
        return keras.saving.load_model(path, compile=compile)
    except DamagedCheckpoint:
        raise
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedCheckpoint(f"{path}: cannot be loaded as a model: {error}") from error


def read_sums(path: Path) -> list[float]:
    """The values that `model.metrics_variables` had when a checkpoint was made."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(SUMS))


def remove_leftovers(run: Path) -> None:
    """Remove what a process left half-written that was killed while it saved."""
    for pattern in _LEFTOVERS:
        for path in (run / "checkpoints").glob(pattern):
            path.unlink()


def is_finite(model: keras.Model) -> bool:
    """Whether all weights of the model and the state of its optimizer are finite numbers."""
    variables = [*model.variables, *model.optimizer.variables]
    return all(
        bool(tf.reduce_all(tf.math.is_finite(v.value)))
        for v in variables
        if keras.backend.is_float_dtype(v.dtype)
    )
