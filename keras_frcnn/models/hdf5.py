"""Weight files in the HDF5 layout of Keras Applications, read without trusting them.

A file from elsewhere is only numbers: links and storage that lead to other files are not followed,
and what is damaged or no weight is refused by name.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from keras_frcnn.errors import InputError

MAX_BYTES = 2**31  # of one array; fc6 of VGG16, the largest there is, has 411 MB

# What h5py raises for a file whose bytes are not what they were.
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError)


def read_hdf5(path: Path) -> dict[str, list[np.ndarray]]:
    """Layer name -> its weights in Keras's order, from whatever depth the file keeps them at.

    Raises:
        InputError: the file is missing, not HDF5, damaged or of another layout; an array is no
            numbers, has some that are not finite, is larger than `MAX_BYTES` or lies in another
            file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        with h5py.File(path) as file:
            root = file["model_weights"] if "model_weights" in file else file
            layers = list(_strings(root, "layer_names"))
            if layers:
                return _by_layer({name: _member(root, name) for name in layers})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: not an HDF5 weight file, or a damaged one ({reason})") from error
    raise InputError(
        f"{path}: not in the HDF5 layout of Keras Applications (no `layer_names`); Keras "
        "3's .weights.h5 cannot be read"
    )


def _by_layer(groups: dict[str, h5py.Group]) -> dict[str, list[np.ndarray]]:
    found, inner = {}, {}
    for name, group in groups.items():
        values = _weights(group)
        if values:
            found[name] = values
        # A model among the layers has all its weights in one group, as `layer/weight` or
        # `model/layer/weight`.
        for path, value in zip(_strings(group, "weight_names"), values, strict=False):
            inner.setdefault(path.split("/")[-2:][0], []).append(value)
    return inner | found


def _weights(group: h5py.Group) -> list[np.ndarray]:
    """The weights of a layer."""
    names = list(_strings(group, "weight_names"))
    if names:
        return [_array(_member(group, name)) for name in names]
    found = []

    def collect(_, item):  # of what is linked hard, which alone is visited
        if isinstance(item, h5py.Dataset):
            found.append(_array(item))

    group.visititems(collect)
    # Without a list of names the order is that of the alphabet; a kernel, which has more dimensions
    # than the bias, comes first in Keras.
    return sorted(found, key=np.ndim, reverse=True)


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """What a path leads to inside the file."""
    for part in name.split("/"):
        if part:
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                raise InputError(
                    f"{name!r} is missing or a link to elsewhere, which is not followed"
                )
            group = group[part]
    return group


def _array(dataset: h5py.Dataset) -> np.ndarray:
    name = dataset.name
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{name} is stored in another file, which is not followed")
    if dataset.dtype.kind not in "fiu":  # integers: EfficientNet's preprocessing has a count
        raise InputError(f"{name} holds {dataset.dtype}, not numbers")
    if dataset.size * dataset.dtype.itemsize > MAX_BYTES:
        raise InputError(f"{name} has the shape {list(dataset.shape)}, too large for a weight")
    values = dataset[()]
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite numbers")
    return values


def _strings(group: h5py.Group, name: str) -> Iterator[str]:
    """An attribute, which Keras spreads over `name0`, `name1` ... where it is long."""
    parts = [part for part in group.attrs if part.rstrip("0123456789") == name]
    for part in sorted(parts, key=lambda part: (len(part), part)):
        for value in group.attrs[part]:
            yield value.decode() if isinstance(value, bytes) else str(value)
