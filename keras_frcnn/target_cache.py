"""Target statistics, kept from one training to the next.

They depend on the boxes alone and take a pass over all of them. Each training set with its
proposals has a file of its own, `targets/<fingerprint>.npz` in the cache folder.
"""

import hashlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder
from keras_frcnn.paths import cache_dir
from keras_frcnn.targets import target_statistics

# Part of every fingerprint: raise it when the same boxes start to give other statistics.
_VERSION = 1


def cached_target_statistics(
    dataset: Dataset, proposals: Sequence[np.ndarray], fg_iou: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and std, float32 [K, 4], of `target_statistics`, computed once.

    A damaged file is replaced, with a warning.

    Raises:
        InputError: the cache folder cannot be written.
    """
    path = cache_dir() / "targets" / f"{fingerprint(dataset, proposals, fg_iou)}.npz"
    shape = (len(dataset.class_names), 4)
    if path.exists():
        try:
            return _read(path, shape)
        # What NumPy raises depends on which bytes are damaged.
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path} is damaged ({error}) and computed again", stacklevel=2)
    mean, std = target_statistics(dataset, proposals, fg_iou)
    _write(path, mean, std)
    return mean, std


def fingerprint(dataset: Dataset, proposals: Sequence[np.ndarray], fg_iou: float) -> str:
    """SHA-256 of all that the statistics depend on: number of classes, objects and proposals."""
    digest = hashlib.sha256(f"{_VERSION} {len(dataset.class_names)} {fg_iou!r}".encode())
    for record, image_proposals in zip(dataset.images, proposals, strict=True):
        for array, dtype in (
            (record.boxes, "<f4"),
            (record.labels, "<i4"),
            (record.is_difficult, "u1"),
            (image_proposals, "<f4"),
        ):
            digest.update(f" {len(array)} ".encode())
            digest.update(np.ascontiguousarray(array, dtype))
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        mean, std = file["mean"], file["std"]
    for values in (mean, std):
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise ValueError(f"holds {values.dtype} {values.shape}, not finite float32 {shape}")
    return mean, std


def _write(path: Path, mean: np.ndarray, std: np.ndarray) -> None:
    make_folder(path.parent)
    try:
        # In a folder of its own, since another process may be writing the same file.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / path.name
            np.savez(partial, mean=mean, std=std)
            os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error}; see that the cache folder ($KERAS_FRCNN_CACHE) can be "
            "written to and that the disk has room"
        ) from error
