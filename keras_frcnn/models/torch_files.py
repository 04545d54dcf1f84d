"""State dictionaries of PyTorch, `.pth` and `.safetensors`, read without PyTorch or trust in them.

A `.pth` file is a pickle, which may name any function to be called. Here it may name only what a
dictionary of tensors is made of; these are described, and their numbers are read afterwards. There
are two layouts: an archive (since PyTorch 1.6), and pickles with raw numbers behind them, which
torchvision's detectors of 2019 still have.

Files of safetensors are read here too: their layout is a line of JSON in front of raw numbers, and
what it says must be checked as for the others.
"""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.hdf5 import MAX_BYTES

MAX_DESCRIPTION = 2**26  # bytes of a pickle or of JSON, which hold no numbers

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"} | {
    f"{'IU'[kind == 'u']}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)
}
# What pickle, zipfile and json raise for bytes that are not what they were.
_DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, NotImplementedError),
    *(OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError),
    *(RuntimeError, OverflowError, MemoryError),
)


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Name of a tensor -> its numbers, of a `.pth` or `.safetensors` file.

    Raises:
        InputError: the file is missing, damaged or of another kind; it asks for something else than
            tensors, or a tensor has numbers that are not finite or lie outside its storage.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        if path.suffix.lower() == ".safetensors":
            return _read_safetensors(path)
        return _read_archive(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path}: not a file of PyTorch tensors, or a damaged one ({reason})"
        ) from error


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int  # numbers


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # these three count numbers, not bytes
    shape: tuple
    strides: tuple


def _rebuilt(storage, offset, shape, strides, *_):
    """What stands for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, _Storage):
        raise InputError("a tensor without a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


# The unpickler in Python: that in C reserves memory for whatever index a file names.
class _TensorUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str):
        """The few things a file may name."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise InputError(
            f"asks for {module[:100]}.{name[:100]}, which is no tensor of numbers and is not "
            "loaded; save a model's state_dict()"
        )

    def persistent_load(self, pid) -> _Storage:
        """The description of a storage."""
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or any(view):
            raise InputError("has a storage of an unknown kind")
        return _Storage(str(key), dtype, int(size))


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [name for name in entries if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise InputError("an archive without data.pkl, not one of torch.save")
        root = found[0].removesuffix("data.pkl")

        def read(name, most):
            entry = entries[root + name]
            # PyTorch compresses nothing; what is compressed may be of any size.
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > most:
                raise InputError(f"{name} is compressed or too large")
            return archive.read(entry)

        if f"{root}byteorder" in entries and read("byteorder", 100) != b"little":
            raise InputError("saved on a machine with another order of bytes")
        described = _TensorUnpickler(io.BytesIO(read("data.pkl", MAX_DESCRIPTION))).load()
        tensors = _tensors(described)
        storages = {t.storage.key: t.storage for t in tensors.values()}
        data = {
            key: np.frombuffer(read(f"data/{key}", MAX_BYTES), storage.dtype)
            for key, storage in storages.items()
        }
    return _arrays(tensors, data)


def _read_legacy(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        magic, _, about, described = (_TensorUnpickler(file).load() for _ in range(4))
        if magic != _LEGACY_MAGIC or not about["little_endian"]:
            raise InputError("not a file of torch.save")
        tensors = _tensors(described)
        storages = {t.storage.key: t.storage for t in tensors.values()}
        data = {}
        for key in _TensorUnpickler(file).load():
            (size,) = struct.unpack("<q", file.read(8))
            storage = storages[key]
            length = size * np.dtype(storage.dtype).itemsize
            if size != storage.size or length > MAX_BYTES:
                raise InputError(f"storage {key} has another size than its tensors say")
            data[key] = np.frombuffer(file.read(length), storage.dtype)
    return _arrays(tensors, data)


def _tensors(described) -> dict[str, _Tensor]:
    """The tensors of what a file describes, which must be a dictionary of them."""
    if not isinstance(described, dict) or not described:
        raise InputError("holds no dictionary of tensors; save a model's state_dict()")
    for name, tensor in described.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise InputError(f"{str(name)[:100]} is no tensor; save a model's state_dict()")
    return dict(described)


def _arrays(tensors: dict[str, _Tensor], data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Views of the storages: nothing is copied, however often a file names the same numbers."""
    return {
        name: _checked(name, _view(name, tensor, data[tensor.storage.key]))
        for name, tensor in tensors.items()
    }


def _view(name: str, tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    storage, offset, shape, strides = tensor
    counts = (storage.size, offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in counts):
        raise InputError(f"{name}: its shape or strides are no counts")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    is_inside = last < len(numbers) or 0 in shape
    if numbers.dtype != storage.dtype or not is_inside or math.prod(shape) > len(numbers):
        raise InputError(f"{name}: its numbers lie outside its storage")
    if 0 in shape:
        return np.zeros(shape, storage.dtype)
    steps = [step * numbers.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)


def _checked(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite numbers")
    return values


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_DESCRIPTION:
            raise InputError("its description is too long")
        described = json.loads(file.read(length))
        if not isinstance(described, dict):
            raise InputError("its description is no object of tensors")
        described.pop("__metadata__", None)
        start, arrays = 8 + length, {}
        for name, about in described.items():
            dtype, shape = _SAFETENSORS.get(about["dtype"]), about["shape"]
            if dtype is None:
                raise InputError(f"{name} holds {about['dtype']}, not numbers that are read here")
            first, last = about["data_offsets"]
            if not all(type(n) is int and n >= 0 for n in (first, last, *shape)):
                raise InputError(f"{name}: its shape or place are no counts")
            size = math.prod(shape) * np.dtype(dtype).itemsize
            if last - first != size or size > MAX_BYTES:
                raise InputError(f"{name}: its shape {shape} does not fit its {last - first} bytes")
            file.seek(start + first)
            values = np.frombuffer(file.read(size), dtype).reshape(shape)
            arrays[name] = _checked(name, values)
    return arrays
