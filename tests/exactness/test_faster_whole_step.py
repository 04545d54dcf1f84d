"""Region proposal network and joint training, image to weights, against a NumPy implementation."""

import numpy as np
import pytest
import tensorflow as tf

from tests.exactness import formulas, numpy_faster_rcnn, tiny, tiny_faster
from tests.exactness.numpy_fast_rcnn import STRIDES

HEADS = ("fc6", "fc7", "cls_score", "bbox_deltas")


def weights_of(model, layers):
    return {
        name: tuple(w.astype(np.float64) for w in model.get_layer(name).get_weights())
        for name in layers
    }


def check_two_steps(model, layers, data, numpy_loss):
    """Forward, losses, chain rule, decay, momentum and bias rate: all weights after two steps."""
    start = [w for pair in weights_of(model, layers).values() for w in pair]
    solver = formulas.Solver(start, [False, True] * len(layers), tiny.MOMENTUM, tiny.DECAY)
    for one in data:
        pairs = zip(solver.weights[::2], solver.weights[1::2], strict=True)
        loss, gradients = numpy_loss(dict(zip(layers, pairs, strict=True)), *one)
        reported = model.train_on_batch(*tiny_faster.as_keras(*one), return_dict=True)
        np.testing.assert_allclose(reported["loss"], loss, rtol=1e-6)
        model.reset_metrics()
        solver.step([g for name in layers for g in gradients[name]], tiny.RATE)
        for name in layers:
            assert all(np.abs(g).max() > 1e-4 for g in gradients[name]), name
    found = [w for pair in weights_of(model, layers).values() for w in pair]
    for name, a, b, old in zip(np.repeat(layers, 2), found, solver.weights, start, strict=True):
        assert np.abs(b - old).max() > 1e-4, name
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6, err_msg=name)


def test_two_steps_of_region_proposals_equal_numpy(float64):
    def numpy_loss(weights, *one):
        return numpy_faster_rcnn.rpn_loss_and_gradients(weights, *one, tiny_faster.RPN_BOX_WEIGHT)

    model = tiny_faster.tiny_rpn()
    assert len(model.trainable_variables) == 2 * len(numpy_faster_rcnn.RPN_LAYERS)
    data = [tiny_faster.rpn_batch(seed) for seed in (0, 1)]
    check_two_steps(model, numpy_faster_rcnn.RPN_LAYERS, data, numpy_loss)


def test_two_steps_of_joint_training_equal_numpy(float64):
    mean, std = (x.astype(np.float64) for x in (tiny.MEAN, tiny.STD))
    labels_seen = []

    def numpy_loss(weights, *one):
        loss, gradients, labels = numpy_faster_rcnn.joint_losses_and_gradients(
            weights,
            *one,
            tiny_faster.RPN_BOX_WEIGHT,
            tiny_faster.OPTIONS,
            mean,
            std,
            tiny_faster.BOX_WEIGHT,
        )
        labels_seen.append(labels)
        return loss, gradients

    model = tiny_faster.tiny_faster_rcnn()
    assert len(model.trainable_variables) == 2 * len(numpy_faster_rcnn.LAYERS)
    data = [tiny_faster.joint_batch(seed) for seed in (2, 3)]
    check_two_steps(model, numpy_faster_rcnn.LAYERS, data, numpy_loss)
    fg = [(labels > 0).sum(axis=1) for labels in labels_seen]
    assert np.max(fg) <= tiny_faster.ROIS / 4  # all of them are drawn
    assert np.sum(fg) > 8 + 2  # proposals too, besides the objects
    assert all((labels == 0).sum() > 20 for labels in labels_seen)


@pytest.fixture(scope="module")
def gradients():
    """By kind of loss and part of the network: the gradients of all kernels and biases."""
    model = tiny_faster.tiny_faster_rcnn()
    x, y = tiny_faster.as_keras(*tiny_faster.joint_batch(2))
    parts = {"trunk": tuple(STRIDES), "rpn": numpy_faster_rcnn.RPN, "head": HEADS}
    variables = {
        part: [v for name in names for v in model.get_layer(name).trainable_variables]
        for part, names in parts.items()
    }
    losses = model._compile_loss._user_loss
    kinds = {"rois": ("cls_score", "bbox_pred"), "anchors": ("rpn_cls_score", "rpn_bbox_pred")}
    found = {}
    for kind, names in kinds.items():
        with tf.GradientTape() as tape:
            outputs = model({k: tf.constant(v) for k, v in x.items()}, training=True)
            total = sum(losses[name](y[name], outputs[name]) for name in names)
        assert total > 0
        slopes = tape.gradient(total, variables)  # None: not connected at all
        found[kind] = {
            part: [np.zeros(1) if g is None else g.numpy() for g in slopes[part]] for part in parts
        }
    return found


def test_losses_of_rois_do_not_reach_the_region_proposals(gradients):
    assert len(gradients["rois"]["rpn"]) == 6
    assert not any(g.any() for g in gradients["rois"]["rpn"])
    assert all(g.any() for g in gradients["rois"]["trunk"] + gradients["rois"]["head"])


def test_losses_of_anchors_do_not_reach_the_heads(gradients):
    assert len(gradients["anchors"]["head"]) == 8
    assert not any(g.any() for g in gradients["anchors"]["head"])
    assert all(g.any() for g in gradients["anchors"]["trunk"] + gradients["anchors"]["rpn"])
