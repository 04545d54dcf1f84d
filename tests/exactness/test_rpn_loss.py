"""The losses of region proposals, and those of RoIs whose truth the model itself finds.

Against the formula of the authors' code, its gradient and central differences in float64.
"""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.joint_sampling import CarryTargets
from keras_frcnn.models.losses import (
    BoxRegressionLoss,
    Carried,
    CarriedForegroundShare,
    ClassificationLoss,
    ForegroundShare,
    rpn_box_loss,
)
from tests.exactness import formulas
from tests.exactness.test_loss import value_and_gradient

S = 256


def sampled(counts, seed=0):
    """What a network says of sampled anchors, and their truth.

    Args:
        counts: of each image, the positive and the negative anchors; the rest of 256 is padding.
    """
    rng = np.random.default_rng(seed)
    labels = np.array([[1] * p + [0] * n + [-1] * (S - p - n) for p, n in counts])
    logits = rng.normal(0, 3, (*labels.shape, 2))
    targets = rng.normal(0, 0.3, (*labels.shape, 4)) * (labels == 1)[..., None]
    # Errors on both sides of 1 / 9, where the square becomes a line.
    deltas = targets + rng.normal(0, 0.15, targets.shape)
    return labels, logits, targets, deltas


def rows_of(labels, targets):
    return np.concatenate([labels[..., None], targets], axis=-1).astype(np.float32)


@pytest.mark.parametrize(
    "counts",
    [
        [(128, 128)],
        [(3, 253), (128, 128)],
        [(1, 20), (40, 216)],  # fewer than 256: every anchor weighs more, those of both images
        [(0, 256), (0, 0)],  # without objects, and without anchors inside
    ],
)
@pytest.mark.parametrize("weight", [1.0, 1.07])
def test_losses_and_gradients_equal_the_formula(counts, weight):
    labels, logits, targets, deltas = sampled(counts)
    value, slope = formulas.log_loss(logits, labels)
    found = value_and_gradient(ClassificationLoss(), labels, logits)
    np.testing.assert_allclose(found[0], value, rtol=1e-6)
    np.testing.assert_allclose(found[1], slope, atol=1e-8)

    value, slope = formulas.rpn_box_loss(deltas, labels, targets, weight)
    loss = rpn_box_loss(weight)
    found = value_and_gradient(loss, rows_of(labels, targets), deltas[:, :, None])
    np.testing.assert_allclose(found[0], value, rtol=1e-6)
    # Inside of 1 / 9 the slope is nine times the error, of which float32 knows 1e-7.
    np.testing.assert_allclose(found[1][:, :, 0], slope, atol=1e-5 / np.sum(labels >= 0))
    assert not found[1][labels != 1].any()
    assert (value > 0) == (labels == 1).any()


def test_gradients_equal_finite_differences():
    """In float64, of a few outputs of every kind."""
    labels, logits, targets, deltas = sampled([(128, 128), (5, 90)], seed=1)
    rows = np.concatenate([labels[..., None], targets], axis=-1)
    losses = (
        (ClassificationLoss(dtype="float64"), labels, logits),
        (rpn_box_loss(0.8), rows, deltas[:, :, None]),
    )
    for loss, truth, outputs in losses:
        outputs = tf.constant(outputs, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = loss.call(truth, outputs)
        gradient = tape.gradient(value, outputs).numpy()
        h, seen = 1e-6, 0
        for image, anchor in ((0, 3), (0, 100), (0, 200), (1, 1), (1, 4), (1, 60), (1, 200)):
            for i in np.ndindex(*outputs.shape[2:]):
                place = (image, anchor, *i)
                sides = []
                for sign in (1, -1):
                    moved = outputs.numpy()
                    moved[place] += sign * h
                    sides.append(float(loss.call(truth, moved)))
                np.testing.assert_allclose(
                    (sides[0] - sides[1]) / (2 * h), gradient[place], rtol=1e-4, atol=1e-9
                )
                seen += gradient[place] != 0
        assert seen >= 8


def test_padding_alone_has_no_loss():
    labels, logits, targets, deltas = sampled([(0, 0), (0, 0)])
    for loss, truth, outputs in (
        (ClassificationLoss(), labels, logits),
        (rpn_box_loss(), rows_of(labels, targets), deltas[:, :, None]),
    ):
        value, gradient = value_and_gradient(loss, truth, outputs)
        assert value == 0 and not gradient.any()


@pytest.mark.parametrize("error, value", [(0, 0), (0.1, 0.045), (1 / 9, 1 / 18), (-2, 2 - 1 / 18)])
def test_smooth_l1_of_region_proposals_by_hand(error, value):
    """Quadratic up to a ninth, and there 9 x^2 / 2; one of four sampled anchors is positive."""
    labels = np.array([[1, 0, 0, 0, -1]])
    deltas = np.zeros((1, 5, 1, 4), np.float32)
    deltas[0, 0, 0, 2] = error
    found = rpn_box_loss(3.0)(rows_of(labels, np.zeros((1, 5, 4))), deltas)
    np.testing.assert_allclose(found, 3 * value / 4, rtol=1e-6, atol=1e-9)


LABELS = np.array([[3, 0, 1, -1, -1, 4], [0, 0, 2, 4, 1, 0]])
CLASSES = 4


def carried_parts(seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (*LABELS.shape, CLASSES + 1)).astype(np.float32)
    deltas = rng.normal(0, 1, (*LABELS.shape, CLASSES, 4)).astype(np.float32)
    return scores, deltas, rng.normal(0, 1, (*LABELS.shape, 4)).astype(np.float32)


def test_carried_losses_equal_the_plain_ones():
    """In value and gradient; the columns of the truth have none, and `y_true` does not matter."""
    scores, deltas, targets = carried_parts()
    std = np.random.default_rng(9).uniform(0.1, 0.5, (CLASSES, 4))
    cases = (
        (0, 1, ClassificationLoss(), LABELS, scores),
        (1, 5, BoxRegressionLoss(std, 0.7), rows_of(LABELS, targets), deltas),
    )
    carried = CarryTargets()(scores, deltas, LABELS, targets)
    assert [x.shape[-1] for x in carried] == [1 + CLASSES + 1, 5 + 4 * CLASSES]
    for output, columns, loss, truth, plain in cases:
        value, slope = value_and_gradient(loss, truth, plain)
        assert value > 0
        for dummy in (np.zeros((2, 1)), np.full((2, 1), np.nan)):
            found = value_and_gradient(Carried(loss, columns), dummy, carried[output])
            np.testing.assert_allclose(found[0], value, rtol=1e-6)
            assert not found[1][..., :columns].any()
            np.testing.assert_array_equal(found[1][..., columns:].reshape(slope.shape), slope)


def test_gradient_of_the_layer_passes_to_predictions_alone():
    scores, deltas, targets = map(tf.constant, carried_parts())
    labels = tf.constant(LABELS, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([scores, deltas, targets, labels])
        outputs = CarryTargets()(scores, deltas, labels, targets)
        box_loss = Carried(BoxRegressionLoss(np.ones((CLASSES, 4))), 5)
        value = Carried(ClassificationLoss(), 1).call(None, outputs[0])
        value += box_loss.call(None, outputs[1])
    gradients = tape.gradient(value, [scores, deltas, targets, labels])
    assert [g is not None and bool(np.any(g)) for g in gradients] == [True, True, False, False]


def test_carried_share_equals_the_plain_one():
    scores, deltas, targets = carried_parts()
    carried, _ = CarryTargets()(scores, deltas, LABELS, targets)
    metric, plain = CarriedForegroundShare(), ForegroundShare()
    for _ in range(2):
        metric.update_state(np.zeros((2, 1)), carried)
        plain.update_state(LABELS, scores)
    assert float(metric.result()) == float(plain.result()) == pytest.approx(6 / 10)
