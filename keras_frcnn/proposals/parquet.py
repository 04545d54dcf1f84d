"""Proposals of many images in Parquet files, a shard each, as `keras-frcnn beam proposals` writes.

A row is an image: `path`, the `sha256` of its file, the `method` that found the boxes (all that
they depend on besides the image), `height` and `width` of the upright image, and `boxes`, the zlib
of little-endian float32 [P, 4], (x1, y1, x2, y2) in its pixels: what the proposal cache stores.
"""

import functools
import io
import os
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.extras import of_extra
from keras_frcnn.shard_names import all_shards

_OPEN = 64  # shards whose rows stay in memory; images mostly come in the order of the shards


class ProposalRow(NamedTuple):
    """The proposals of one image, as they are stored."""

    path: str
    sha256: str
    method: str
    height: int
    width: int
    boxes: bytes  # `packed_boxes`


def packed_boxes(boxes: np.ndarray) -> bytes:
    """Boxes, float32 [P, 4], as a row has them."""
    return zlib.compress(np.ascontiguousarray(boxes, "<f4").tobytes(), 1)


def unpacked_boxes(row: ProposalRow, where: str) -> np.ndarray:
    """The boxes of a row, float32 [P, 4].

    Raises:
        InputError: they are damaged; `where` is the file.
    """
    try:
        values = np.frombuffer(zlib.decompress(row.boxes), "<f4")
        return values.reshape(-1, 4).astype(np.float32)
    except (zlib.error, ValueError) as error:
        raise InputError(f"{where}: the boxes of {row.path} are damaged ({error})") from error


def to_parquet(rows: Sequence[ProposalRow]) -> bytes:
    """A Parquet file of these rows: the same bytes for the same rows."""
    pa = of_extra("pyarrow", "beam")
    parquet = of_extra("pyarrow.parquet", "beam")
    kinds = (pa.string(), pa.string(), pa.string(), pa.int32(), pa.int32(), pa.binary())
    schema = pa.schema(list(zip(ProposalRow._fields, kinds, strict=True)))
    columns = list(zip(*rows, strict=True)) or [()] * len(kinds)
    arrays = [pa.array(list(c), kind) for c, kind in zip(columns, kinds, strict=True)]
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
    return file.getvalue()


def from_parquet(content: bytes, where: str) -> list[ProposalRow]:
    """The rows of a Parquet file.

    Raises:
        InputError: it is damaged, or none of this form; `where` is the file.
    """
    columns = _columns(io.BytesIO(content), ProposalRow._fields, where)
    return [ProposalRow(*row) for row in zip(*columns, strict=True)]


def read_shards(folder: Path, wanted: Collection[str]) -> Mapping[str, np.ndarray]:
    """The proposals in a folder of shards by the names of images, float32 [P, 4] each.

    They are read when they are asked for.

    Args:
        folder: holds all shards `proposals-n-of-N.parquet` of one work.
        wanted: names of images. A name means the image whose path is or ends with it.

    Returns:
        those of `wanted` that are there.

    Raises:
        InputError: shards are missing or damaged, several images are called by one name, or pyarrow
            is not installed.
    """
    files = [folder / name for name in all_shards(_names(folder), "proposals", str(folder))]
    found: dict[str, tuple[Path, int]] = {}
    paths: dict[str, str] = {}
    for file in files:
        (column,) = _columns(file, ("path",), str(file))
        for i, path in enumerate(column):
            name = next((tail for tail in _tails(path) if tail in wanted), None)
            if name is None:
                continue
            if name in found:
                raise InputError(
                    f"{folder}: {name} may be {paths[name]} or {path}; give each image a name of "
                    "its own"
                )
            found[name], paths[name] = (file, i), path
    return _Shards(found)


class _Shards(Mapping[str, np.ndarray]):
    """Boxes by the names of their images: the file and the row of each."""

    def __init__(self, rows: dict[str, tuple[Path, int]]):
        self._rows = rows
        self._read = functools.lru_cache(_OPEN)(_read_rows)

    def __getitem__(self, name):
        file, i = self._rows[name]
        return unpacked_boxes(self._read(file)[i], str(file))

    def __contains__(self, name):
        return name in self._rows

    def __iter__(self):
        return iter(self._rows)

    def __len__(self):
        return len(self._rows)


def _read_rows(file: Path) -> list[ProposalRow]:
    try:
        return from_parquet(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error


def _columns(source: Path | io.BytesIO, names: Sequence[str], where: str) -> list[list]:
    parquet = of_extra("pyarrow.parquet", "beam")
    try:
        table = parquet.ParquetFile(source).read(list(names))
        return [table[name].to_pylist() for name in names]
    except (OSError, ValueError, KeyError) as error:  # Arrow's own are among them
        reason = str(error).split("\n")[0]
        raise InputError(f"{where}: cannot be read as Parquet of proposals ({reason})") from error


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _tails(path: str) -> Iterator[str]:
    """A path and what is left of it without its first folders, the longest first."""
    parts = path.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))
