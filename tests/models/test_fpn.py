"""The pyramid against NumPy, its anchors against a table by hand, its proposals against a loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_frcnn.batches.anchor_targets import anchor_targets
from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN
from keras_frcnn.models.fpn import PadToMultiple, coarser, pyramid
from keras_frcnn.models.rpn import ProposalOptions, TakeAnchors
from keras_frcnn.models.rpn_levels import (
    PYRAMID_OPTIONS,
    ProposeOnLevels,
    TakeLevelAnchors,
    anchor_places,
    level_anchor_boxes,
    options_for,
)
from keras_frcnn.models.trunks import LEVELS, TRUNKS, Trunk
from keras_frcnn.settings import Settings

RNG = np.random.default_rng(0)


def tiny_taps(images):
    x, taps = images, []
    for i in range(5):
        x = layers.Conv2D(6, 3, 2, padding="same", activation="relu", name=f"conv{i}")(x)
        taps.append(x)
    return taps[1:]


TINY = Trunk(tiny_taps, 16, levels=LEVELS, fc_units=(8, 8), rpn_channels=8, mask_channels=8)


def conv3(x, kernel, bias):
    """3 x 3 with zeros around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = x.shape[1:3]
    return bias + sum(
        padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def test_the_pyramid_is_laterals_sums_and_outputs():
    sizes, channels = [(8, 12), (4, 6), (2, 3)], (3, 4, 5)
    inputs = [keras.Input((None, None, c)) for c in channels]
    model = keras.Model(inputs, pyramid(inputs, 7))
    for w in model.weights:
        w.assign(RNG.normal(size=w.shape))
    taps = [
        RNG.normal(size=(1, *s, c)).astype(np.float32) for s, c in zip(sizes, channels, strict=True)
    ]
    weights = {layer.name: [w.numpy() for w in layer.weights] for layer in model.layers}
    inner = None
    for level in (4, 3, 2):
        kernel, bias = weights[f"fpn_lateral{level}"]
        lateral = taps[level - 2] @ kernel[0, 0] + bias
        inner = lateral if inner is None else lateral + inner.repeat(2, 1).repeat(2, 2)
        expected = conv3(inner, *weights[f"fpn_output{level}"])
        np.testing.assert_allclose(model(taps)[level - 2], expected, rtol=1e-4, atol=1e-4)


def test_the_coarser_level_is_every_second_cell():
    x = RNG.normal(size=(1, 5, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(coarser(tf.constant(x)), x[:, ::2, ::2])


@pytest.mark.parametrize("size, padded", [((32, 64), (32, 64)), ((33, 1), (64, 32))])
def test_images_are_padded_right_and_below(size, padded):
    x = np.ones((1, *size, 3), np.float32)
    output = PadToMultiple(32)(x).numpy()
    assert output.shape == (1, *padded, 3)
    assert output.sum() == x.sum() and output[:, : size[0], : size[1]].all()


@pytest.mark.parametrize("name", ["resnet50_fpn", "vgg16_fpn", "efficientnet_lite1_fpn"])
def test_the_taps_have_their_strides(name):
    taps = TRUNKS[name].build(keras.Input((96, 64, 3)))
    assert [tap.shape[1:3] for tap in taps] == [(96 // s, 64 // s) for s in LEVELS]


def test_resnet_s_taps_are_those_of_keras():
    ours = keras.Input((64, 64, 3))
    model = keras.Model(ours, TRUNKS["resnet50_fpn"].build(ours))
    keras_s = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(keras_s.get_layer(layer.name).get_weights())
    names = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
    expected = keras.Model(keras_s.input, [keras_s.get_layer(n).output for n in names])
    x = RNG.normal(size=(1, 64, 64, 3)).astype(np.float32)
    for tap, theirs in zip(model(x), expected(x), strict=True):
        np.testing.assert_allclose(tap, theirs, rtol=1e-4, atol=1e-4)


def test_one_scale_a_level():
    places = anchor_places(options_for(None, TINY))
    assert [stride for _, stride in places] == [4, 8, 16, 32, 64]
    sides = [base[1, 2:] - base[1, :2] for base, _ in places]  # of ratio 1
    assert [s.tolist() for s in sides] == [[8 * 4 * 2**i] * 2 for i in range(5)]
    given = options_for(ProposalOptions(scales=(4.0,)), TINY)
    assert given.scales == (4.0,) and given.strides == (4, 8, 16, 32, 64)


OPTIONS = options_for(None, TINY)
SIZE = 192, 224


def level_maps(depth, n=2):
    shapes = [(-(-SIZE[0] // s), -(-SIZE[1] // s)) for s in OPTIONS.strides]
    return [RNG.normal(size=(n, *s, 3, depth)).astype(np.float32) for s in shapes]


def test_taken_anchors_are_those_of_their_level():
    scores, deltas = level_maps(2), level_maps(4)
    index = np.concatenate(
        [
            np.stack([np.full(40, i), *(RNG.integers(0, n, 40) for n in m.shape[1:4])], axis=1)
            for i, m in enumerate(scores)
        ]
    )[None]
    index = np.repeat(index, 2, 0).astype(np.int32)
    logits, offsets = (x.numpy() for x in TakeLevelAnchors()(scores, deltas, index))
    for level in range(5):
        own = index[:, index[0, :, 0] == level]
        expected = TakeAnchors()(scores[level], deltas[level], own[..., 1:])
        chosen = index[0, :, 0] == level
        np.testing.assert_array_equal(logits[:, chosen], expected[0])
        np.testing.assert_array_equal(offsets[:, chosen], expected[1])


def test_boxes_of_anchors_by_their_places():
    index = np.int32([[0, 3, 5, 1], [2, 1, 2, 1], [4, 0, 1, 1]])
    boxes = level_anchor_boxes(tf.constant(index), OPTIONS).numpy()
    for (level, y, x, _), box in zip(index, boxes, strict=True):
        stride = OPTIONS.strides[level]
        centre = stride * np.array([x, y]) + stride / 2
        np.testing.assert_allclose(box, [*(centre - 4 * stride), *(centre + 4 * stride)])


def test_each_object_is_learnt_by_anchors_of_its_size():
    objects = np.float32([(10, 10, 42, 42), (30, 20, 94, 84), (30, 20, 158, 148)])
    index, labels, targets = anchor_targets(
        tf.constant(SIZE), tf.constant(objects), tf.constant([1, 2]), OPTIONS, 64
    )
    assert index.shape == (64, 4) and targets.shape == (64, 4)
    positive = index.numpy()[labels.numpy() == 1]
    assert set(positive[:, 0]) == {0, 1, 2}
    boxes = level_anchor_boxes(index, OPTIONS).numpy()[labels.numpy() >= 0]
    assert (boxes >= 0).all() and (boxes[:, 2] <= SIZE[1]).all() and (boxes[:, 3] <= SIZE[0]).all()


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return shared / (sum(area) - shared)


def proposals_by_loop(scores, deltas, pre_nms, post_nms):
    """Level by level from the definition, in float64 but for the decoded boxes."""
    found = []
    for (base, stride), score, delta in zip(anchor_places(OPTIONS), scores, deltas, strict=True):
        rows, columns = SIZE[0] // stride, SIZE[1] // stride
        rows, columns = max(rows, 1), max(columns, 1)
        candidates = []
        for y in range(rows):
            for x in range(columns):
                for a in range(3):
                    box = base[a] + stride * np.float32([x, y, x, y])
                    w, h = box[2:] - box[:2]
                    dx, dy, dw, dh = delta[y, x, a]
                    cx, cy = box[0] + w / 2 + dx * w, box[1] + h / 2 + dy * h
                    w, h = w * np.exp(dw), h * np.exp(dh)
                    box = np.clip([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 0, None)
                    box = np.minimum(box, [SIZE[1], SIZE[0]] * 2)
                    if (box[2:] > box[:2]).all():
                        candidates.append((score[y, x, a, 1] - score[y, x, a, 0], box))
        candidates = sorted(candidates, key=lambda c: -c[0])[:pre_nms]
        kept = []
        for logit, box in candidates:
            if all(iou(box, other) <= 0.7 for _, other in kept):
                kept.append((logit, box))
        found += kept[:post_nms]
    return sorted(found, key=lambda c: -c[0])[:post_nms]


def test_proposals_are_those_of_a_plain_loop():
    scores, deltas = level_maps(2, 1), [d * 0.2 for d in level_maps(4, 1)]
    layer = ProposeOnLevels((8.0,), OPTIONS.ratios, OPTIONS.strides, 60, 50)
    ones = np.ones((1, 2), np.float32)
    boxes, objectness = layer(scores, deltas, np.int32([SIZE]), ones)
    expected = proposals_by_loop([s[0] for s in scores], [d[0] for d in deltas], 60, 50)
    assert boxes.shape == (1, 50, 4)
    np.testing.assert_allclose(boxes[0], np.float32([b for _, b in expected]), atol=1e-3)
    logits = np.array([logit for logit, _ in expected])
    np.testing.assert_allclose(objectness[0], 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize("build", [FastRCNN, FasterRCNN])
def test_a_pyramid_s_regions_are_not_pooled(build):
    with pytest.raises(InputError, match="region_op: a pyramid's regions are read by RoIAlign"):
        build(("a",), TINY, None, region_op="pool")


def test_settings_of_a_pyramid():
    settings = Settings(detector="faster_rcnn", trunk="resnet50_fpn", weights=None)
    assert settings.region_op == "align"
    assert settings.anchor_scales == PYRAMID_OPTIONS.scales
    numbers = settings.proposals_train, settings.proposals_test, settings.pre_nms_train
    assert numbers == (1000, 1000, 2000)
    assert (settings.pre_nms_test, settings.proposal_min_size) == (1000, 0)
    with pytest.raises(InputError, match="alternating: pyramids are trained jointly"):
        Settings(detector="faster_rcnn", trunk="resnet50_fpn", weights=None, alternating=True)
