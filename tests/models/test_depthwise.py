"""The depthwise convolution with its own gradient against Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.depthwise import DepthwiseReLU6


@pytest.mark.parametrize(
    "size, stride, rate, shape",
    [
        (3, 1, 1, (2, 7, 9, 4)),
        (3, 2, 1, (2, 8, 9, 4)),
        (5, 1, 1, (2, 7, 9, 4)),
        (5, 2, 1, (1, 7, 8, 3)),
        (3, 1, 2, (2, 7, 9, 4)),
        (5, 1, 2, (2, 8, 9, 4)),
        (5, 1, 2, (1, 1, 1, 3)),
        (5, 1, 1, (1, 1, 2, 3)),
    ],
)
def test_values_and_gradients_are_keras_s(size, stride, rate, shape):
    rng = np.random.default_rng(0)
    theirs = keras.layers.DepthwiseConv2D(
        size, stride, "same", dilation_rate=rate, activation="relu6", dtype="float64"
    )
    ours = DepthwiseReLU6(size, stride, rate, dtype="float64")
    x = tf.constant(rng.normal(size=shape))
    theirs(x), ours(x)
    weights = [rng.normal(size=w.shape) for w in theirs.get_weights()]
    coefficients = rng.normal(size=theirs(x).shape)
    results = []
    for layer in (theirs, ours):
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * coefficients)
        results.append([y, *tape.gradient(total, [x, layer.kernel.value, layer.bias.value])])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_comes_back_from_its_config():
    layer = DepthwiseReLU6(5, 1, 2, name="d")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config() and again.dilation_rate == (2, 2)
