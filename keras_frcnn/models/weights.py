"""Pretrained weights: Keras's ImageNet VGG16, or an HDF5 file in the Keras layout."""

from pathlib import Path

import h5py
import keras
import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import FULLY_CONNECTED, PREDICTORS
from keras_frcnn.models.trunks import Trunk


def load_pretrained(model: keras.Model, trunk: Trunk, weights: str) -> list[str]:
    """Copy pretrained kernels and biases into `model`, layer by layer.

    Args:
        model: as `fast_rcnn` builds it.
        trunk: the trunk it was built with.
        weights: "imagenet" (VGG16 only: downloaded by Keras) or the path of an HDF5 weight file
            with or without the fully connected layers.

    Returns:
        The names of the layers that were loaded. fc6 and fc7 keep their random weights where the
        file has none or ones of another shape (another `fc_units` or pool size).

    Raises:
        InputError: the file is missing or not HDF5, or lacks a layer of the trunk.
    """
    arrays = _imagenet_vgg16() if weights == "imagenet" else _read_hdf5(Path(weights))
    loaded = []
    for layer in model.layers:
        if not hasattr(layer, "kernel") or layer.name in PREDICTORS:
            continue
        values = arrays.get(trunk.renamed.get(layer.name, layer.name))
        expected = [layer.kernel.shape, layer.bias.shape]
        if values is not None and [v.shape for v in values] == expected:
            layer.kernel.assign(values[0])
            layer.bias.assign(values[1])
            loaded.append(layer.name)
        elif layer.name not in FULLY_CONNECTED:
            found = "has none" if values is None else f"has shapes {[v.shape for v in values]}"
            raise InputError(
                f"{weights}: layer {layer.name} of the trunk needs a kernel and a bias of shapes "
                f"{expected}, the file {found}. Are these the weights of another network?"
            )
    return loaded


def _imagenet_vgg16() -> dict[str, list[np.ndarray]]:
    try:
        source = keras.applications.VGG16(weights="imagenet")
    except Exception as error:  # Keras has no narrower one for a failed download
        raise InputError(
            f"cannot get the ImageNet weights of VGG16: {error}. Give the path of an HDF5 weight "
            "file, or none for random weights"
        ) from error
    return {layer.name: layer.get_weights() for layer in source.layers if layer.weights}


def _read_hdf5(path: Path) -> dict[str, list[np.ndarray]]:
    """Layer name -> [kernel, bias], from whatever depth the file keeps them at."""
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(f"{path}: not an HDF5 weight file ({error})") from error
    with file:
        root = file["model_weights"] if "model_weights" in file else file
        if "layer_names" not in root.attrs:
            raise InputError(
                f"{path}: not in the HDF5 layout of Keras Applications (no `layer_names`); Keras "
                "3's .weights.h5 cannot be read"
            )
        arrays = {}
        for name in root.attrs["layer_names"]:
            found = []
            name = name.decode() if isinstance(name, bytes) else name
            root[name].visititems(
                lambda _, item, found=found: (
                    found.append(item[()]) if isinstance(item, h5py.Dataset) else None
                )
            )
            if len(found) == 2:
                # The kernel has more dimensions than the bias; the order in the file varies.
                arrays[name] = sorted(found, key=np.ndim, reverse=True)
        return arrays
