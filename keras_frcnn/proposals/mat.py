"""Cells of texts and numbers from MATLAB's .mat files of level 5: `save -v7`, or `-v6`.

SciPy's reader takes the types in a file for indices into a table of its own: a damaged file ends
the process. Here every number is checked before it is used. The format is in MathWorks' "MAT-File
Format", chapter 1.
"""

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

MAX_BYTES = 2**31  # of a variable when it is decompressed
_DEEP = 4  # cells in cells
_HEADER = 128  # bytes
_INT32, _MATRIX, _COMPRESSED = 5, 14, 15  # types of elements
_CELL, _CHAR, _NUMBERS = 1, 4, range(6, 16)  # classes of arrays
_COMPLEX = 0x800
# What numbers are stored as, which may be smaller than their class.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_TYPES |= {12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


def read_mat(content: bytes) -> dict[str, np.ndarray | list | str]:
    """The variables of a file by name: numbers as float64 arrays, texts, cells as lists of these.

    Raises:
        ValueError: the content is damaged or none of this format.
        zlib.error: a compressed variable is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it is no .mat file of level 5 (in MATLAB: save with -v7)")
    found = {}
    for kind, data in _elements(memoryview(content)[_HEADER:], order):
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            inner = stream.decompress(data, MAX_BYTES)
            if not stream.eof:
                raise ValueError("a compressed variable is cut off or too large")
            ((kind, data),) = _elements(memoryview(inner), order)
        if kind != _MATRIX:
            raise ValueError(f"an element is of type {kind}, not a variable")
        name, value = _variable(data, order)
        found[name] = value
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and bytes of one element after the other."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("it is cut off")
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # a small one has its size beside its type, and its bytes behind
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise ValueError(f"a small element has {size} bytes")
        else:
            start = at + 8
            end = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        at = end


def _variable(data: memoryview, order: str, depth: int = 0):
    """Name and value of a matrix element's bytes."""
    if not len(data):
        return "", np.zeros(0)
    if depth > _DEEP:
        raise ValueError("its cells are nested too deep")
    parts = list(_elements(data, order))
    if len(parts) < 3 or len(parts[0][1]) != 8 or parts[1][0] != _INT32:
        raise ValueError("a variable has no flags, dimensions and name")
    (flags,) = struct.unpack_from(order + "I", parts[0][1])
    shape = _numbers(*parts[1], order).astype(np.int64)
    count = math.prod(shape.tolist())
    name = bytes(parts[2][1]).decode("latin-1")
    parts = parts[3:]
    kind = flags & 0xFF
    if kind == _CELL:
        if (shape < 0).any() or len(parts) != count or any(k != _MATRIX for k, _ in parts):
            raise ValueError(f"{name} has not the cells it says")
        return name, [_variable(cell, order, depth + 1)[1] for _, cell in parts]
    if len(parts) != 1 or flags & _COMPLEX or kind not in (_CHAR, *_NUMBERS):
        raise ValueError(f"{name} is of class {kind}, not of cells, text or real numbers")
    if kind == _CHAR:
        return name, _text(*parts[0], order)
    values = _numbers(*parts[0], order)
    if (shape < 0).any() or values.size != count:
        raise ValueError(f"{name} has {values.size} numbers, not {shape.tolist()}")
    return name, values.reshape(shape, order="F")


def _numbers(kind: int, data: memoryview, order: str) -> np.ndarray:
    if kind not in _TYPES:
        raise ValueError(f"numbers are of type {kind}, which is none")
    return np.frombuffer(data, order + _TYPES[kind]).astype(np.float64)


def _text(kind: int, data: memoryview, order: str) -> str:
    if kind not in _TEXTS:
        raise ValueError(f"a text is of type {kind}, which is none")
    encoding = _TEXTS[kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    return bytes(data).decode(encoding)
