"""A trained model in the number format it is to be served in."""

import keras

from keras_frcnn.models.detection_model import copy_description
from keras_frcnn.models.heads import FLOAT32
from keras_frcnn.models.layers import LocalResponseNorm

NORMALIZATIONS = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """A copy of `model` whose layers compute in `precision` and store their weights in it.

    Args:
        model: a functional model; `mixed_bfloat16`, `bfloat16` or float32.
        precision: "float32" or "bfloat16". In bfloat16 the last layers, which make scores and
            offsets, and local response normalisation, which has no bfloat16 kernel on the CPU, stay
            float32; normalisation layers keep float32 weights, with which Keras computes them in
            `mixed_bfloat16`. The results are those of `mixed_bfloat16`, at half the size.
    """

    def convert(layer):
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Layer):  # an operation, in the type of its inputs
            return type(layer).from_config(config)
        if not layer.autocast:  # boxes, labels and what is read by them: in the types they come in
            return type(layer).from_config(config)
        config["dtype"] = precision
        if layer.name in FLOAT32 or isinstance(layer, LocalResponseNorm):
            config["dtype"] = "float32"
        elif precision == "bfloat16" and isinstance(layer, NORMALIZATIONS):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=convert, recursive=True)
    for old, new in zip(model.weights, copy.weights, strict=True):
        new.assign(old.value)
    copy_description(model, copy)
    return copy
