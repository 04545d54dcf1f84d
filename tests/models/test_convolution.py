import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.convolution import ChannelwiseConv2D, ConvReLU2D

RNG = np.random.default_rng(0)


def pair(kernel_size, dtype="float64"):
    """The layer and Keras's own with the same weights, for 3 channels."""
    ours = ConvReLU2D(4, kernel_size, dtype=dtype, bias_initializer="random_normal")
    keras_own = keras.layers.Conv2D(4, kernel_size, padding="same", activation="relu", dtype=dtype)
    for layer in (ours, keras_own):
        layer.build((None, None, None, 3))
    keras_own.set_weights(ours.get_weights())
    return ours, keras_own


@tf.function
def result_and_gradients(layer, x, factors):
    weights = [w.value for w in layer.trainable_weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(tf.cast(y, x.dtype) * factors)
    return [y, *tape.gradient(total, [x, *weights])]


@pytest.mark.parametrize("kernel_size", [1, 3, 5, (1, 3), (3, 1)])
@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 1, 3), (1, 2, 9, 3)])
def test_equals_the_convolution_and_gradients_of_keras(kernel_size, shape):
    x = tf.constant(RNG.normal(size=shape))
    factors = tf.constant(RNG.normal(size=(*shape[:3], 4)))
    results = [result_and_gradients(layer, x, factors) for layer in pair(kernel_size)]
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_gradient_of_the_kernel_by_its_definition():
    x, factors = RNG.normal(size=(2, 4, 6, 3)), RNG.normal(size=(2, 4, 6, 4))
    layer, _ = pair(3)
    y, _, grad_kernel, _ = result_and_gradients(layer, tf.constant(x), tf.constant(factors))
    grad = factors * (y.numpy() > 0)
    expected = np.zeros((3, 3, 3, 4))
    for i, j in np.ndindex(3, 3):
        for n, row, column in np.ndindex(2, 4, 6):
            above, left = row + i - 1, column + j - 1
            if 0 <= above < 4 and 0 <= left < 6:
                expected[i, j] += np.outer(x[n, above, left], grad[n, row, column])
    np.testing.assert_allclose(grad_kernel, expected, atol=1e-12)


def test_bfloat16_is_as_close_as_that_of_keras():
    x = tf.constant(RNG.normal(size=(2, 20, 30, 3)), tf.float32)
    factors = tf.constant(RNG.normal(size=(2, 20, 30, 4)), tf.float32)
    ours, keras_own = pair(3, "mixed_bfloat16")
    exact = result_and_gradients(pair_like(ours), x, factors)
    for a, b, c in zip(
        result_and_gradients(ours, x, factors),
        result_and_gradients(keras_own, x, factors),
        exact,
        strict=True,
    ):
        assert a.dtype == b.dtype
        scale = np.abs(c).max()
        error = np.abs(np.float32(a) - c).max() / scale
        assert error < max(0.02, 2 * np.abs(np.float32(b) - c).max() / scale)


def pair_like(layer):
    exact, _ = pair(3, "float32")
    exact.set_weights(layer.get_weights())
    return exact


def test_a_frozen_layer_passes_the_gradient_on_and_gets_none():
    layer, _ = pair(3, "float32")
    layer.trainable = False
    model = keras.Sequential([layer, keras.layers.Conv2D(2, 1)])
    x = tf.constant(RNG.normal(size=(1, 4, 4, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(model(x))
    grads = tape.gradient(total, [x, layer.kernel.value])
    assert np.abs(grads[0]).sum() > 0
    assert len(model.trainable_weights) == 2


def test_survives_saving(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, ConvReLU2D(4, 3, kernel_initializer="he_normal")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[1]) is ConvReLU2D
    x = RNG.normal(size=(1, 5, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("dilation", [1, 2])
def test_channelwise_equals_the_grouped_convolution_of_keras(dilation):
    x = tf.constant(RNG.normal(size=(2, 9, 8, 6)).astype(np.float32))
    arguments = dict(
        padding="same", groups=6, dilation_rate=dilation, bias_initializer="random_normal"
    )
    ours = ChannelwiseConv2D(6, (7, 5), **arguments)
    keras_own = keras.layers.Conv2D(6, (7, 5), **arguments)
    for layer in (ours, keras_own):
        layer.build(x.shape)
    keras_own.set_weights(ours.get_weights())
    factors = tf.constant(RNG.normal(size=x.shape).astype(np.float32))
    results = [result_and_gradients(layer, x, factors) for layer in (ours, keras_own)]
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    again = ChannelwiseConv2D.from_config(ours.get_config())
    assert again.groups == 6 and again.dilation_rate == (dilation, dilation)
