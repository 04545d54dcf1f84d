"""Proposals that do not fit into memory: all boxes of a long list of images in one file.

COCO's 118,287 images with 2000 proposals each are 3.8 GB of float32, and more where lists of
arrays are joined. Above `LARGE` images they are written once, in the cache folder, and read where
they lie, an image at a time. They are read by seeking and not through `mmap`: pages of a mapped
file count as memory of the process, and a file that is cut off would end it by a signal.

A packed list is two files: `<digest>.boxes`, nothing but the rows of all images one after another,
little-endian uint16 where all boxes are whole numbers (those of selective search are) and float32
otherwise; and `<digest>.offsets.npy`, int64 [N + 1]: image i has the rows offsets[i] to
offsets[i + 1]. The digest is of all that the boxes depend on. The offsets are written last: where
they are, the boxes are whole.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.files import make_cache_folder, replacing

LARGE = 10_000  # images; lists of so many stay in memory, which is 0.3 GB with 2000 boxes each

_WHOLE, _REAL = np.dtype("<u2"), np.dtype("<f4")


class PackedProposals(Sequence[np.ndarray]):
    """The boxes of a list of images, float32 [P, 4] each, read from their file when asked for.

    Raises:
        InputError: on reading, the file is gone, cut off or not readable.
    """

    def __init__(self, path: Path, offsets: np.ndarray, dtype: np.dtype):
        self.path = path
        self.offsets = offsets
        self.dtype = dtype

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]  # raises IndexError, and counts from the end
        first, count = int(self.offsets[i]), int(self.offsets[i + 1] - self.offsets[i])
        try:
            values = np.fromfile(
                self.path, self.dtype, 4 * count, offset=4 * first * self.dtype.itemsize
            )
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
        if len(values) < 4 * count:
            raise InputError(f"{self.path}: was cut off; delete it, then it is made again")
        return values.astype(np.float32).reshape(count, 4)


def digest_of(parts: Iterable[str]) -> str:
    """The name under which the boxes that depend on these texts, and nothing else, are packed."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = os.fsencode(part)
        digest.update(f"{len(encoded)} ".encode() + encoded)
    return digest.hexdigest()[:32]


def packed(digest: str, count: int) -> PackedProposals | None:
    """The packed list of this digest and so many images, if there is a whole one."""
    if count <= LARGE:
        return None
    boxes, offsets = _paths(digest)
    if not offsets.is_file():
        return None
    try:
        starts = np.load(offsets, allow_pickle=False)
        size = boxes.stat().st_size
    except (OSError, ValueError, EOFError) as error:
        warnings.warn(f"{offsets} cannot be used ({error}) and is made again", stacklevel=2)
        return None
    is_list = starts.shape == (count + 1,) and starts.dtype == np.int64 and starts[0] == 0
    if is_list and (np.diff(starts) >= 0).all():
        for dtype in (_WHOLE, _REAL):
            if size == 4 * int(starts[-1]) * dtype.itemsize:
                return PackedProposals(boxes, starts, dtype)
    warnings.warn(f"{boxes} does not fit its offsets and is made again", stacklevel=2)
    return None


def kept(
    digest: str, count: int, arrays: Callable[[], Iterable[np.ndarray]]
) -> Sequence[np.ndarray]:
    """The boxes of `count` images, in memory or, with more than `LARGE`, packed in the cache.

    Args:
        digest: `digest_of` all that they depend on.
        count: of images.
        arrays: gives them anew, float32 [P, 4] each, at every call.

    Raises:
        InputError: the cache folder cannot be written.
    """
    if count <= LARGE:
        return list(arrays())
    boxes, offsets = _paths(digest)
    try:
        starts = _write(boxes, arrays(), _WHOLE)
    except _NotExactError:
        starts = _write(boxes, arrays(), _REAL)
    with replacing(offsets) as partial:
        np.save(partial, starts)
    found = packed(digest, count)
    if found is None:
        raise InputError(f"{boxes}: is not as it was written; see to the disk")
    return found


class _NotExactError(Exception):
    """A box is not a whole number."""


def _write(path: Path, arrays: Iterable[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Write the boxes, whole or not at all, and return the offsets."""
    starts = [0]
    with replacing(path) as partial, partial.open("wb") as file:
        for boxes in arrays:
            with np.errstate(invalid="ignore"):  # what the cast cannot hold is found below
                rows = boxes.astype(dtype)
            if dtype == _WHOLE and not np.array_equal(rows, boxes):
                raise _NotExactError
            rows.tofile(file)
            starts.append(starts[-1] + len(rows))
    return np.array(starts, np.int64)


def _paths(digest: str) -> tuple[Path, Path]:
    folder = make_cache_folder("packed")
    return folder / f"{digest}.boxes", folder / f"{digest}.offsets.npy"
