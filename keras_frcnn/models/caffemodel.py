"""Caffe's weight files (.caffemodel), read without trusting them.

Such a file is one message `NetParameter` of Caffe's caffe.proto in protobuf's wire format. Few of
its fields are wanted, so their bytes are found here: protobuf's parser would hold the 548 MB of
VGG16 several times and hand them over number by number.

Shape letters: O outputs, I inputs of a layer.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from keras_frcnn.errors import InputError, cut, shown


class _Fields(NamedTuple):
    """Numbers of the fields of a layer's message."""

    name: int
    kind: int
    blobs: int


# By the field of NetParameter that holds the layers: `layer`, of LayerParameter, and `layers`, of
# V1LayerParameter, which Caffe wrote until February 2015.
_LAYERS = {100: _Fields(1, 2, 7), 2: _Fields(4, 5, 6)}
# The types of layers that are read, as the two messages have them.
_CONVOLUTION = (b"Convolution", 4)
_INNER_PRODUCT = (b"InnerProduct", 14)

# Of BlobProto.
_SHAPE = 7  # a message with the dimensions in field 1
_OLD_SHAPE = (1, 2, 3, 4)  # num, channels, height and width, in files without the former
_NUMBERS = {8: np.dtype("<f8"), 5: np.dtype("<f4")}  # the first that is there counts

_MAX_DIMENSIONS = 32  # Caffe's own limit
_MAX_VARINT = 10  # bytes
_MAX_FIELD = 2**29  # the numbers of fields end here
_MAX_NAME = 1000  # bytes of a name or type


def read_caffemodel(path: Path) -> dict[str, list[np.ndarray]]:
    """Name -> weights of every convolution and fully connected layer, in Caffe's order.

    Returns:
        float32 kernels, [O, I, height, width] of convolutions and [O, I] of fully connected layers,
        each followed by its biases [O] where the layer has some. Of layers with the same name the
        last counts, as in Caffe.

    Raises:
        InputError: the file is missing, no such file, damaged or without weights; weights are not
            as many as their shape says or not finite.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        with path.open("rb") as file:
            found = dict(_layers(file))
    except InputError as error:
        raise InputError(
            f"{path}: not a .caffemodel file of Caffe, or a damaged one ({error})"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not found:
        raise InputError(
            f"{path}: no layer with weights in it; give the .caffemodel file of a trained network"
        )
    return found


def _layers(file: BinaryIO) -> Iterator[tuple[str, list[np.ndarray]]]:
    for number, value in _fields(file, range(os.fstat(file.fileno()).st_size)):
        if number not in _LAYERS:
            continue
        fields = _LAYERS[number]
        name, kind, blobs = b"", None, []
        for field, inner in _fields(file, _place(value)):
            if field == fields.name:
                name = _read(file, _place(inner), _MAX_NAME)
            elif field == fields.kind:
                kind = inner if isinstance(inner, int) else _read(file, inner, _MAX_NAME)
            elif field == fields.blobs:
                blobs.append(_place(inner))
        if blobs and kind in _CONVOLUTION + _INNER_PRODUCT:
            name = name.decode(errors="replace")
            try:
                yield name, _weights([_blob(file, blob) for blob in blobs], kind)
            except InputError as error:
                raise InputError(f"layer {shown(name)}: {error}") from error


def _weights(blobs: list[np.ndarray], kind: bytes | int) -> list[np.ndarray]:
    """Kernel and biases of a layer, in the shapes that `read_caffemodel` returns."""
    kernel, *biases = blobs
    dimensions = 4 if kind in _CONVOLUTION else 2
    # Old files have four dimensions throughout: [1, 1, O, I], and [1, 1, 1, O] for biases.
    is_padded = kernel.ndim > dimensions and set(kernel.shape[:-dimensions]) == {1}
    if kernel.ndim != dimensions and not is_padded:
        raise InputError(f"a kernel of the shape {list(kernel.shape)}")
    kernel = kernel.reshape(kernel.shape[-dimensions:])
    if len(biases) > 1 or any(bias.size != len(kernel) for bias in biases):
        raise InputError(f"biases of the shapes {[b.shape for b in biases]} for {len(kernel)}")
    return [kernel, *(bias.reshape(-1) for bias in biases)]


def _blob(file: BinaryIO, where: range) -> np.ndarray:
    """The array of a BlobProto."""
    shape, old_shape, places = [], {}, {}
    for number, value in _fields(file, where):
        if number == _SHAPE:
            shape += _dimensions(file, _place(value))
        elif number in _OLD_SHAPE:
            old_shape[number] = _number(value)
        elif number in _NUMBERS:
            # Together in one field: Caffe and protobuf write no other. One field a number, which
            # the format allows, would take forty times the memory of the file.
            if number in places:
                raise InputError("its weights lie in several pieces")
            places[number] = _place(value)
    if old_shape:
        shape = [old_shape.get(number, 0) for number in _OLD_SHAPE]
    number, dtype = next(((n, t) for n, t in _NUMBERS.items() if n in places), (None, None))
    count, rest = divmod(len(places[number]), dtype.itemsize) if places else (0, 0)
    if rest or not count or len(shape) > _MAX_DIMENSIONS or math.prod(shape) != count:
        raise InputError(f"{count} weights where the shape is {cut(str(shape))}")
    values = np.frombuffer(_read(file, places[number]), dtype)
    with np.errstate(over="ignore"):  # becomes infinite
        values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise InputError("has values that are not finite numbers")
    return values.reshape(shape)


def _dimensions(file: BinaryIO, where: range) -> Iterator[int]:
    """Those of a BlobShape."""
    for number, value in _fields(file, where):
        if number == 1 and isinstance(value, int):
            yield value
        elif number == 1:
            packed, at = _read(file, value, _MAX_DIMENSIONS * _MAX_VARINT), 0
            while at < len(packed):
                dimension, at = _varint(packed, at)
                yield dimension


def _fields(file: BinaryIO, where: range) -> Iterator[tuple[int, int | range]]:
    """Number and value of each field of a message; of longer values the place in the file.

    The caller may read elsewhere meanwhile.
    """
    at = where.start
    while at < where.stop:
        file.seek(at)
        head = file.read(min(2 * _MAX_VARINT, where.stop - at))
        key, used = _varint(head, 0)
        number, wire = key >> 3, key & 7
        if not 0 < number < _MAX_FIELD:
            raise InputError(f"a field of the number {number} at byte {at}")
        if wire == 0:
            value, used = _varint(head, used)
        elif wire in (1, 2, 5):
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                size, used = _varint(head, used)
            value = range(at + used, at + used + size)
            used += size
        else:
            raise InputError(f"a field of the type {wire} at byte {at}")
        if at + used > where.stop:
            raise InputError(f"what begins at byte {at} is cut off")
        yield number, value
        at += used


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number in protobuf's variable length, and where the next byte is."""
    value = 0
    for i, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value, at + i + 1
    raise InputError("a number without an end")


def _place(value: int | range) -> range:
    if isinstance(value, int):
        raise InputError(f"the number {value} where more was expected")
    return value


def _number(value: int | range) -> int:
    if isinstance(value, range):
        raise InputError(f"{len(value)} bytes where a number was expected")
    return value


def _read(file: BinaryIO, where: range, limit: int | None = None) -> bytes:
    if limit is not None and len(where) > limit:
        raise InputError(f"{len(where)} bytes where at most {limit} were expected")
    file.seek(where.start)
    content = file.read(len(where))
    if len(content) < len(where):
        raise InputError("it became shorter while it was read")
    return content
