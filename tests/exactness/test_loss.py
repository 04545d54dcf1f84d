"""The two losses and their gradients against the formula, and what must have no weight."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from tests.exactness import formulas

CLASSES = 4
LABELS = np.array([[3, 0, 1, -1, -1, 4], [0, 0, 2, 4, 1, 0]])
MEAN = np.random.default_rng(8).normal(0, 0.2, (CLASSES, 4)).astype(np.float32)
STD = np.random.default_rng(9).uniform(0.1, 0.5, (CLASSES, 4)).astype(np.float32)


def value_and_gradient(loss, y_true, y_pred):
    y_pred = tf.constant(y_pred, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred)
    return value.numpy(), tape.gradient(value, y_pred).numpy()


def normalised_batch(seed=0):
    """Outputs t and targets v in units of the standard deviation; errors from 0 to about 3."""
    rng = np.random.default_rng(seed)
    t = rng.normal(0, 1, (*LABELS.shape, CLASSES, 4))
    v = rng.normal(0, 1, (*LABELS.shape, 4))
    t[0, 0, 2] = v[0, 0] + [1, -1, 0, 2]  # class 3: on the kinks, at the bottom, on the slope
    return t, v


def box_arguments(t, v, labels):
    """The same in plain units, as the model and the pipeline hand them over."""
    u = np.maximum(labels - 1, 0)
    plain = v * STD[u] + MEAN[u]
    return np.concatenate([labels[..., None], plain], axis=-1), t * STD + MEAN


def test_classification_loss_and_gradient():
    logits = np.random.default_rng(0).normal(0, 3, (*LABELS.shape, CLASSES + 1))
    loss, gradient = formulas.log_loss(logits, LABELS)
    found = value_and_gradient(ClassificationLoss(), LABELS, logits)
    np.testing.assert_allclose(found[0], loss, rtol=1e-6)
    np.testing.assert_allclose(found[1], gradient, atol=1e-7)
    assert not found[1][LABELS < 0].any()  # padding


@pytest.mark.parametrize("lam", [0.0, 1.0, 2.5])
def test_box_loss_and_gradient(lam):
    t, v = normalised_batch()
    loss, by_t = formulas.box_loss(t, LABELS, v, lam)
    found = value_and_gradient(BoxRegressionLoss(STD, lam), *box_arguments(t, v, LABELS))
    np.testing.assert_allclose(found[0], loss, rtol=1e-5)
    # The network's last layer multiplies by the deviation; the chain rule does so again.
    np.testing.assert_allclose(found[1] * STD, by_t, atol=2e-6)
    assert not found[1][LABELS < 1].any()  # neither background nor padding
    for i in np.ndindex(LABELS.shape):
        if LABELS[i] >= 1:
            assert not np.delete(found[1][i], LABELS[i] - 1, axis=0).any()  # other classes


def test_smooth_l1_at_its_kinks():
    """Errors -2, -1, -0.5, 0 and 0.5, 1, 2, 1000: value and derivative by hand."""
    y_true = np.zeros((1, 2, 5), np.float32)
    y_true[..., 0] = 1
    y_pred = np.array([[[[-2, -1, -0.5, 0]], [[0.5, 1, 2, 1000]]]], np.float32)
    value, gradient = value_and_gradient(BoxRegressionLoss(np.ones((1, 4))), y_true, y_pred)
    expected = (1.5 + 0.5 + 0.125 + 0 + 0.125 + 0.5 + 1.5 + 999.5) / 2
    np.testing.assert_allclose(value, expected, rtol=1e-7)
    np.testing.assert_array_equal(gradient * 2, [[[[-1, -1, -0.5, 0]], [[0.5, 1, 1, 1]]]])


def test_more_padding_changes_nothing():
    rng = np.random.default_rng(1)
    t, v = normalised_batch()
    logits = rng.normal(size=(*LABELS.shape, CLASSES + 1))
    more = np.concatenate([LABELS, np.full((2, 9), -1)], axis=1)

    def padded(x):
        return np.concatenate([x, rng.normal(0, 100, (2, 9, *x.shape[2:]))], axis=1)

    box_loss = BoxRegressionLoss(STD)
    for loss, few, many in (
        (ClassificationLoss(), (LABELS, logits), (more, padded(logits))),
        (box_loss, box_arguments(t, v, LABELS), box_arguments(padded(t), padded(v), more)),
    ):
        value, gradient = value_and_gradient(loss, *few)
        with_padding, gradient_with_padding = value_and_gradient(loss, *many)
        np.testing.assert_allclose(with_padding, value, rtol=1e-6)
        np.testing.assert_allclose(gradient_with_padding[:, :6], gradient, rtol=1e-5, atol=1e-9)
        assert not gradient_with_padding[:, 6:].any()


def test_the_mean_is_over_rois_of_the_batch_not_over_images():
    """An image with one real RoI weighs a sixth of one with six."""
    labels = np.array([[1, -1, -1, -1, -1, -1], [0, 0, 0, 0, 0, 0]])
    logits = np.zeros((2, 6, 3))
    logits[0, 0, 1] = -20.0
    one = np.log(2 + np.exp(-20)) + 20
    expected = (one + 6 * np.log(3)) / 7
    np.testing.assert_allclose(ClassificationLoss()(labels, logits), expected, rtol=1e-6)


def test_only_background_has_a_classification_loss_alone():
    labels = np.zeros((2, 6), int)
    t, v = normalised_batch()
    value, gradient = value_and_gradient(BoxRegressionLoss(STD), *box_arguments(t, v, labels))
    assert value == 0 and not gradient.any()
    value, gradient = value_and_gradient(ClassificationLoss(), labels, np.zeros((2, 6, 3)))
    np.testing.assert_allclose(value, np.log(3), rtol=1e-6)
    np.testing.assert_allclose(
        gradient, np.tile([1 / 3 - 1, 1 / 3, 1 / 3], (2, 6, 1)) / 12, rtol=1e-6
    )
