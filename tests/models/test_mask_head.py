import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.mask_head import ClassMask, RegionsAsImages
from keras_frcnn.models.mask_losses import (
    CarriedMaskAccuracy,
    CarriedMaskLoss,
    MaskAccuracy,
    MaskFalseNegatives,
    MaskFalsePositives,
    MaskLoss,
)


def of_all_classes(layer, x, classes):
    """K maps by a convolution, and the choice of one."""
    kernel = tf.transpose(tf.convert_to_tensor(layer.kernel))[None, None]
    maps = tf.nn.conv2d(x, kernel, 1, "SAME") + layer.bias
    maps = tf.reshape(maps, (*classes.shape, *maps.shape[1:]))
    return tf.gather(maps, classes - 1, axis=-1, batch_dims=2)


@pytest.mark.parametrize("num_classes, relative", [(5, 1e-6), (80, 1e-6)])
def test_the_class_s_convolution_alone(num_classes, relative):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(6, 4, 4, 16)), tf.float32)
    classes = tf.constant(rng.integers(1, num_classes + 1, (2, 3)), tf.int32)
    layer = ClassMask(num_classes)
    layer(x, classes)
    layer.kernel.assign(rng.normal(size=(num_classes, 16)))
    layer.bias.assign(rng.normal(size=num_classes))
    weights = [layer.kernel.value, layer.bias.value]
    found = {}
    for name, compute in (("own", layer), ("all", lambda *a: of_all_classes(layer, *a))):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = compute(x, classes)
            loss = tf.reduce_sum(tf.sin(output))
        gradients = tape.gradient(loss, [x, *weights])
        found[name] = [output, *map(tf.convert_to_tensor, gradients)]
    for own, every in zip(found["own"], found["all"], strict=True):
        scale = np.abs(every).max()
        np.testing.assert_allclose(own, every, rtol=0, atol=relative * scale * 4)


def test_padding_takes_the_first_class():
    x = tf.ones((2, 3, 3, 4))
    layer = ClassMask(3)
    padding = layer(x, tf.constant([[0, -1]]))
    np.testing.assert_array_equal(padding, layer(x, tf.constant([[1, 1]])))


def test_regions_are_images_and_none_are_none():
    x = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2, 1).astype(np.float32)
    np.testing.assert_array_equal(RegionsAsImages()(x), x.reshape(6, 2, 2, 1))
    assert RegionsAsImages()(x[:, :0]).shape == (0, 2, 2, 1)
    symbolic = RegionsAsImages()(keras.Input((None, 14, 14, 8)))
    assert symbolic.shape == (None, 14, 14, 8)


TARGETS = np.uint8([[[[1, 0], [1, 1]], [[255, 255], [255, 255]]]])  # [1, 2, 2, 2]
LOGITS = np.float32([[[[2, -1], [-3, 0.5]], [[99, -99], [np.inf, 5]]]])


def test_the_loss_is_the_mean_over_the_cells_that_count():
    one = lambda logit, target: np.log1p(np.exp(-logit if target else logit))  # noqa: E731
    expected = (one(2, 1) + one(-1, 0) + one(-3, 1) + one(0.5, 1)) / 4
    np.testing.assert_allclose(MaskLoss()(TARGETS, LOGITS), expected, rtol=1e-6)
    carried = np.stack([TARGETS.astype(np.float32), LOGITS], axis=-1)
    np.testing.assert_allclose(CarriedMaskLoss()(np.zeros(1), carried), expected, rtol=1e-6)


def test_without_foreground_loss_and_gradient_are_zero():
    logits = tf.constant(LOGITS[:, :1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskLoss()(np.full((1, 1, 2, 2), 255, np.uint8), logits)
    assert loss.numpy() == 0
    assert not tape.gradient(loss, logits).numpy().any()


def test_what_is_watched():
    # 2 and 0.5 are inside and -1 outside, as they should; -3 should be inside.
    cells = {"accuracy": 3 / 4, "false positives": 0 / 1, "false negatives": 1 / 3}
    metrics = [MaskAccuracy(), MaskFalsePositives(), MaskFalseNegatives()]
    for metric, expected in zip(metrics, cells.values(), strict=True):
        assert metric.result().numpy() == 0
        metric.update_state(TARGETS, LOGITS)
        np.testing.assert_allclose(metric.result(), expected)
    carried = CarriedMaskAccuracy()
    carried.update_state(None, np.stack([TARGETS.astype(np.float32), LOGITS], axis=-1))
    np.testing.assert_allclose(carried.result(), cells["accuracy"])
