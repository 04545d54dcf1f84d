"""Proposals from files instead of a search: `.npz`, the `.mat` of Fast R-CNN, shards of Parquet."""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.proposals.mat import read_mat
from keras_frcnn.proposals.packed import digest_of, kept, packed
from keras_frcnn.proposals.parquet import read_shards
from keras_frcnn.remote import local

# How far a box may reach over the border of the image: rounding, and the last pixel counted
# as inclusive. More means boxes of another image, scale or order of coordinates.
_SLACK = 2.0

MAX_BOXES = 100_000  # of an image in a file; selective search gives some thousands

# What damaged files make zipfile, zlib, NumPy and `mat` raise.
_DAMAGE = (
    *(OSError, ValueError, EOFError, TypeError, SyntaxError, zipfile.BadZipFile, zlib.error),
    *(struct.error, NotImplementedError, RuntimeError, OverflowError, KeyError, MemoryError),
)


def load_proposals(path: str | Path, dataset: Dataset) -> Sequence[np.ndarray]:
    """The proposals of every image of a data set, float32 [P, 4] each, in its order.

    Two kinds of file are read, and folders:

    * `.npz`: one array [P, 4] an image under its filename, with or without extension; boxes
      (x1, y1, x2, y2) in continuous pixels, as `save_proposals` writes them.
    * `.mat`: the selective-search files that the Fast R-CNN code downloads, such as
      `voc_2007_trainval.mat`: the cells `images` (names without extension) and `boxes` ([P, 4],
      rows (y1, x1, y2, x2), pixels counted from 1, both ends inside the box).
    * a folder of the shards that `keras-frcnn beam proposals` writes (`proposals.parquet`).

    The file may hold more images than the data set. Boxes are clipped to the image; an image has at
    most `MAX_BOXES`.

    Raises:
        InputError: the file cannot be read, an image is not in it, or a box is not finite,
            empty or outside its image; the image and the row are named.
    """
    path = local(path)
    if path.suffix not in (".npz", ".mat") and not path.is_dir():
        raise InputError(
            f"{path}: proposals are read from .npz and .mat files and from folders of shards"
        )
    digest = _digest(path, dataset)
    count = len(dataset.images)
    if (found := packed(digest, count)) is not None:
        return found
    wanted = {name for record in dataset.images for name in _names(record)}
    with _opened(path, wanted) as stored:
        keys = _keys(stored, dataset, path)

        def checked():
            for key, record in zip(keys, dataset.images, strict=True):
                yield _checked(stored[key], record, path)

        return kept(digest, count, checked)


def _keys(stored: Mapping[str, np.ndarray], dataset: Dataset, path: Path) -> list[str]:
    """What the file calls each image."""
    keys = [_key(record, stored) for record in dataset.images]
    missing = [r.filename for r, key in zip(dataset.images, keys, strict=True) if key is None]
    if missing:
        more = f" and {len(missing) - 1} more images" if len(missing) > 1 else ""
        raise InputError(
            f"{path}: has no proposals for {missing[0]}{more}; "
            f"it needs all images of {dataset.name}"
        )
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(
            f"{path}: several images of {dataset.name} are called {twice!r} but for their "
            "extension; store their proposals with it"
        )
    return keys


def save_proposals(path: str | Path, dataset: Dataset, proposals: Sequence[np.ndarray]) -> None:
    """Write the proposals of a data set, [P, 4] an image, as `.npz` for `load_proposals`.

    The file appears under its name when it is complete.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise InputError(f"{path}: proposals are saved as .npz; give it that extension")
    names = (record.filename for record in dataset.images)
    make_folder(path.parent)
    with replacing(path) as partial, partial.open("wb") as file:
        _write_npz(file, zip(names, proposals, strict=True))


def _write_npz(file, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    # Not `np.savez(file, **arrays)`: an image may be called "file".
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, boxes in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(boxes, np.float32), allow_pickle=False)


@contextmanager
def _opened(path: Path, wanted: set[str]) -> Iterator[Mapping[str, np.ndarray]]:
    """What a file has stored, as far as it is wanted."""
    if path.is_dir():
        yield read_shards(path, wanted)
        return
    if path.suffix == ".mat":
        yield _read_mat(path)
        return
    with ExitStack() as stack:
        with _damage_named(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
        found = {name: names[name] for name in sorted(wanted & names.keys())}
        yield _Arrays(path, archive, found)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as .npz proposals ({error})") from error


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays of an `.npz` file, each read when it is asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, names: dict[str, str]):
        self._path, self._archive, self._names = path, archive, names

    def __getitem__(self, name):
        member = self._names[name]
        with _damage_named(self._path):
            return _read_npy(self._archive, member)

    def __contains__(self, name):
        return name in self._names

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)


def _read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array whose header says, before memory is taken for it, that it is one of boxes."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in read_header:
            raise ValueError(f"{name} is of the format {version}")
        shape, _, dtype = read_header[version](member)
    if dtype.hasobject or dtype.itemsize > 8 or math.prod(shape) > 4 * MAX_BOXES:
        raise ValueError(
            f"{name} holds {dtype} {list(shape)}; boxes are numbers [P, 4], at most {MAX_BOXES}"
        )
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _read_mat(path: Path) -> Mapping[str, np.ndarray]:
    try:
        content = read_mat(path.read_bytes())
        names, boxes = content["images"], content["boxes"]
        if not isinstance(names, list) or not isinstance(boxes, list):
            raise ValueError("images and boxes are no cells")
        if not all(isinstance(name, str) for name in names):
            raise ValueError("images are no texts")
        inclusive = [np.asarray(b, np.float64).reshape(-1, 4) for b in boxes]
    except KeyError as error:
        raise InputError(f"{path}: has no variable {error}; it needs images and boxes") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as a .mat file of proposals ({error})") from error
    if len(names) != len(boxes):
        raise InputError(f"{path}: has {len(names)} images but {len(boxes)} boxes cells")
    # (y1, x1, y2, x2), first pixel 1, last pixel inside: x1 - 1 is the left edge, x2 the right.
    return {
        name: b[:, (1, 0, 3, 2)] - (1, 1, 0, 0) for name, b in zip(names, inclusive, strict=True)
    }


def _key(record: ImageRecord, stored: Mapping[str, np.ndarray]) -> str | None:
    return next((name for name in _names(record) if name in stored), None)


def _digest(path: Path, dataset: Dataset) -> str:
    """Of the files as they lie there, and of the images by what boxes are looked up and cut."""
    stamps = []
    try:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            status = file.stat()
            stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            stamps.append(f"{os.path.abspath(file)} {stamp}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    images = (f"{r.filename} {r.width} {r.height}" for r in dataset.images)
    return digest_of([*stamps, *images])


def _names(record: ImageRecord) -> tuple[str, str]:
    """What an image may be called in a file of proposals."""
    return record.filename, os.path.splitext(record.filename)[0]


def _checked(boxes: np.ndarray, record: ImageRecord, path: Path) -> np.ndarray:
    where = f"{path}: proposals of {record.filename}"
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu":
        raise InputError(f"{where} have shape {list(boxes.shape)} {boxes.dtype}; they need [P, 4]")
    boxes = boxes.astype(np.float32)
    limit = np.float32([record.width, record.height] * 2)
    faults = (
        (~np.isfinite(boxes).all(axis=1), "is not finite"),
        ((boxes[:, 2:] <= boxes[:, :2]).any(axis=1), "is empty or inverted"),
        (
            ((boxes < -_SLACK) | (boxes > limit + _SLACK)).any(axis=1),
            f"is outside the image of {record.width} x {record.height} pixels",
        ),
    )
    clipped = np.clip(boxes, 0, limit)
    faults += (((clipped[:, 2:] <= clipped[:, :2]).any(axis=1), "is outside the image"),)
    for bad, what in faults:
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{where}, row {row}: {boxes[row].tolist()} {what}; "
                "boxes must be (x1, y1, x2, y2) in pixels of the upright image"
            )
    return clipped
