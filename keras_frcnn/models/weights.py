"""Pretrained weights: those Keras has of its applications, HDF5 files like them, Caffe's files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.caffe_weights import caffe_weights
from keras_frcnn.models.hdf5 import read_hdf5
from keras_frcnn.models.heads import part_of
from keras_frcnn.models.trunks import Trunk
from keras_frcnn.remote import local

CAFFE_SUFFIX = ".caffemodel"


def load_pretrained(model: keras.Model, trunk: Trunk, weights: str) -> list[str]:
    """Copy pretrained weights into `model`, layer by layer, by the layers' names.

    Args:
        model: as `FastRCNN` or a builder of `faster_rcnn` makes it.
        trunk: the trunk it was built with.
        weights: "imagenet" (downloaded by Keras) or path or URL of a weight file, HDF5 or Caffe's
            (.caffemodel), with or without the layers after the trunk.

    Returns:
        The names of the layers that were loaded. fc6 and fc7 keep their random weights where the
        file has none or ones of another shape (another `fc_units` or pool size); the layers after
        them are loaded from Caffe's files only, where they fit (`caffe_weights`).

    Raises:
        InputError: the file cannot be read (`read_hdf5`, `read_caffemodel`) or lacks a layer of the
            trunk; there are no ImageNet weights of the trunk, or they cannot be downloaded.
    """
    arrays = _arrays(model, trunk, weights)
    loaded = []
    for layer in model.layers:
        if not layer.weights:
            continue
        values = arrays.pop(layer.name, None)  # and their memory is free afterwards
        expected = [tuple(w.shape) for w in layer.weights]
        if values is not None and [v.shape for v in values] == expected:
            layer.set_weights(values)
            loaded.append(layer.name)
        elif part_of(layer.name) == "trunk":
            found = "has none" if values is None else f"has shapes {[v.shape for v in values]}"
            raise InputError(
                f"{weights}: layer {layer.name} of the trunk needs weights of shapes {expected}, "
                f"the file {found}. Are these the weights of another network?"
            )
    return loaded


def _arrays(model: keras.Model, trunk: Trunk, weights: str) -> dict[str, list[np.ndarray]]:
    """Layer of `model` -> the weights there are for it."""
    if Path(weights).suffix.lower() == CAFFE_SUFFIX:
        return caffe_weights(local(weights), model, trunk)
    arrays = _imagenet(trunk) if weights == "imagenet" else read_hdf5(local(weights))
    names = {layer.name: trunk.renamed.get(layer.name, layer.name) for layer in model.layers}
    return {
        ours: arrays[theirs]
        for ours, theirs in names.items()
        if theirs in arrays and part_of(ours) in ("trunk", "fc")
    }


def _imagenet(trunk: Trunk) -> dict[str, list[np.ndarray]]:
    """Layer name -> its weights, as Keras downloads and reads them."""
    if trunk.application is None:
        raise InputError("weights: Keras has no ImageNet weights of this trunk; give a file")
    try:
        source = getattr(keras.applications, trunk.application)(
            weights="imagenet",
            include_top="fc6" in trunk.renamed,  # the classifier's hidden layers are wanted too
            input_shape=(224, 224, 3),  # of the training of most; weights do not depend on it
        )
    except Exception as error:  # Keras has no narrower one for a failed download
        raise InputError(
            f"cannot get the ImageNet weights of {trunk.application}: {error}. Give the path of a "
            "weight file, HDF5 or .caffemodel, or none for random weights"
        ) from error
    return {layer.name: layer.get_weights() for layer in _flat(source.layers) if layer.weights}


def _flat(layers: Iterable[keras.layers.Layer]) -> Iterator[keras.layers.Layer]:
    """Layers, those of models among them in place of these models."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            yield from _flat(layer.layers)
        else:
            yield layer
