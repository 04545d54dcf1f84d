"""The files that serve an export by TensorFlow Serving, in a folder to work in."""

import shutil
from pathlib import Path

from keras_frcnn.custom_ops.cuda import KERNELS
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder

SERVING = Path(__file__).resolve().parent / "serving"

# Of the op, what runs on GPUs; the server is built for CPUs.
GPU_SOURCES = "cuda/*", "tensorflow/*gpu_op*"


def write_serving_files(to: Path) -> None:
    """Write configuration, Dockerfiles and the sources of the op, for `docs/serving.md`.

    Args:
        to: a folder that does not exist or is empty.

    Raises:
        InputError: something is in the folder, or it cannot be written.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to}: exists; name a new folder, so that no file is overwritten")
    make_folder(to)
    try:
        shutil.copytree(SERVING, to, dirs_exist_ok=True)
        for source in op_sources():
            shutil.copy(source, to / "custom_op")
        (to / "models").mkdir()
    except OSError as error:
        raise InputError(f"cannot write to {to}: {error}") from error


def op_sources() -> list[Path]:
    """The C++ sources and headers of RoI pooling on CPUs."""
    gpu = {path for pattern in GPU_SOURCES for path in KERNELS.glob(pattern)}
    return sorted({*KERNELS.rglob("*.h"), *KERNELS.rglob("*.cc")} - gpu)
