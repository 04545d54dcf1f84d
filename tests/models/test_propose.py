"""The proposal layer at its edges and against NumPy; `test_suppression.py` has other oracles."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.anchors import base_anchors
from keras_frcnn.models.propose import Propose
from tests.exactness import numpy_proposals

NINE = {"scales": (8, 16, 32), "ratios": (0.5, 1, 2)}
SIZES = [(600, 1000), (800, 600), (480, 640), (320, 427), (224, 262)]
NUMBERS = [(6000, 300), (12000, 2000), (None, 2000)]
slow = pytest.mark.slow


def cells(size):
    return size[0] // 16, size[1] // 16


def random_map(size, seed):
    """Scores and deltas of one image, whose proposals overlap as those of a trained network do."""
    rng = np.random.default_rng(seed)
    shape = (*cells(size), 9)
    scores = rng.normal(0, 3, (*shape, 2)).astype(np.float32)
    deltas = rng.normal(0, 0.2, (*shape, 4)).astype(np.float32)
    deltas[..., 2:] = rng.choice(numpy_proposals.exponents(256), (*shape, 2))
    return scores, deltas


def blank_map(size, seed):
    """What a grey image gives: every cell says the same, two kinds of anchors too."""
    scores, deltas = random_map((16, 16), seed)
    scores[..., 3, :] = scores[..., 5, :]
    return tuple(np.tile(x, (*cells(size), 1, 1)) for x in (scores, deltas))


def call(layer, scores, deltas, size, scale=(1.0, 1.0)):
    """Proposals and objectness of one image, with their padding."""
    sizes, scales = np.array([size], np.int32), np.array([scale], np.float32)
    return [x.numpy()[0] for x in layer(scores[None], deltas[None], sizes, scales)]


def check(layer, scores, deltas, size, scale):
    """Equal to NumPy's bit for bit; returns how many proposals there are."""
    boxes, logits = numpy_proposals.propose(
        scores, deltas, size, scale, layer.pre_nms, layer.post_nms
    )
    proposals, objectness = call(layer, scores, deltas, size, scale)
    count = len(boxes)
    np.testing.assert_array_equal(proposals[:count], boxes)
    np.testing.assert_allclose(objectness[:count], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert (proposals[count:] == -1).all() and not objectness[count:].any()
    return count


# A reduced picture of all sizes and numbers; the slow cases are the whole of it.
@pytest.mark.parametrize(
    "size, pre, post, seeds",
    [
        ((600, 1000), 12000, 2000, [0]),
        ((480, 640), None, 300, [1, 2]),
        ((224, 262), 600, 100, [3, 4, 5]),
        *(pytest.param(s, *n, range(40), marks=slow) for s in SIZES for n in NUMBERS),
    ],
)
def test_proposals_equal_numpy(size, pre, post, seeds):
    layer = Propose(**NINE, pre_nms=pre, post_nms=post)
    for seed in seeds:
        maps = (blank_map if seed % 10 == 4 else random_map)(size, seed)
        assert check(layer, *maps, size, (1.25, 1.24)) > 5


@pytest.mark.parametrize("seed", [0, 1])
def test_blank_image_gives_the_first_of_equal_anchors(seed):
    layer = Propose(**NINE, pre_nms=500, post_nms=40)
    assert check(layer, *blank_map((480, 640), seed), (480, 640), (1.0, 1.0)) > 30


def only(size, places, anchors):
    """Maps in which but these places (y, x, a) say a number; they score 9, 8, 7 and so on."""
    scores = np.full((*cells(size), anchors, 2), np.nan, np.float32)
    deltas = np.zeros((*cells(size), anchors, 4), np.float32)
    for i, place in enumerate(places):
        scores[place] = 1, 10 - i
    return scores, deltas


UP, DOWN = (float(np.nextafter(np.float32(1), np.float32(to))) for to in (2, 0))


@pytest.mark.parametrize(
    "ratio, scale, stays",
    [  # sides of 16 x 16 and, at ratio 2, of 12 x 22, and scaled pixels in an original one
        (1, (1.0, 1.0), True),
        (1, (UP, 1.0), False),  # the least width is a little more than 16
        (1, (1.0, UP), False),
        (1, (DOWN, DOWN), True),
        (2, (0.75, 1.375), True),  # 12 and 22 exactly
        (2, (0.75, 1.375 * UP), False),
        (2, (0.75 * UP, 1.375), False),
        (2, (1.375, 0.75), False),  # the axes exchanged
    ],
)
def test_a_side_of_exactly_the_least_stays(ratio, scale, stays):
    layer = Propose((1,), (ratio,), post_nms=3)
    proposals, _ = call(layer, *only((64, 64), [(1, 2, 0)], 1), (64, 64), scale)
    box = [32, 16, 48, 32] if ratio == 1 else [34, 13, 46, 35]
    assert proposals.tolist() == [box if stays else [-1] * 4, [-1] * 4, [-1] * 4]


@pytest.mark.parametrize("scale, stays", [(1.5, True), (1.5 * UP, False)])
def test_sides_are_those_after_clipping(scale, stays):
    """32 pixels from -8 on are 24 inside the image."""
    layer = Propose((2,), (1,), post_nms=1)
    proposals, _ = call(layer, *only((64, 64), [(0, 1, 0)], 1), (64, 64), (1.0, scale))
    assert proposals.tolist() == [[8, 0, 40, 24] if stays else [-1] * 4]


def test_without_a_least_size_boxes_without_area_are_dropped():
    layer = Propose((1,), (1,), post_nms=4, min_size=0)
    scores, deltas = only((64, 64), [(1, 1, 0), (1, 2, 0), (2, 2, 0)], 1)
    deltas[1, 1, 0, 0] = 99  # beyond the right border
    deltas[1, 2, 0, 3] = -300  # no height
    proposals, _ = call(layer, scores, deltas, (64, 64))
    assert proposals[0].tolist() == [32, 32, 48, 48] and (proposals[1:] == -1).all()


@pytest.mark.parametrize(
    "cells_apart, nms_iou, kept",
    [  # squares of 272 pixels: IoU (272 - 48) / (272 + 48) is 0.7 exactly
        (3, 0.7, 2),
        (3, float(np.nextafter(np.float32(0.7), np.float32(0))), 1),
        (2, 0.7, 1),
    ],
)
def test_an_iou_of_exactly_the_limit_stays(cells_apart, nms_iou, kept):
    layer = Propose((17,), (1,), post_nms=3, nms_iou=nms_iou)
    maps = only((600, 600), [(17, 17, 0), (17, 17 + cells_apart, 0)], 1)
    proposals, _ = call(layer, *maps, (600, 600))
    assert (proposals[:, 0] >= 0).sum() == kept
    assert proposals[0].tolist() == [144, 144, 416, 416]


def test_of_equal_scores_the_lower_index_comes_first():
    places = [(20, 30, 1), (20, 29, 2), (19, 31, 0), (20, 29, 1)]
    scores, deltas = only((640, 640), places, 3)
    scores[tuple(np.transpose(places))] = [2, 7]
    layer = Propose((2,), (0.5, 1, 2), post_nms=4)
    base = base_anchors((2,), (0.5, 1, 2))
    expected = [base[a] + 16 * np.array([x, y, x, y]) for y, x, a in sorted(places)]
    np.testing.assert_array_equal(call(layer, scores, deltas, (640, 640))[0], expected)


def test_the_limit_before_the_suppression_counts_usable_boxes_only():
    """The best three say nothing usable: they take nobody's place."""
    places = [(4, 5, 0), (8, 5, 0), (12, 5, 0), (16, 5, 0), (20, 5, 0), (24, 5, 0)]
    scores, deltas = only((480, 480), places, 1)
    deltas[4, 5, 0, 2] = -9  # too narrow
    deltas[8, 5, 0, 1] = np.inf
    scores[12, 5, 0, 1] = np.inf
    layer = Propose((2,), (1,), pre_nms=2, post_nms=5)
    proposals, _ = call(layer, scores, deltas, (480, 480))
    assert proposals[:, 1].tolist() == [16 * 16 - 8, 20 * 16 - 8, -1, -1, -1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["background", "object", "deltas"])
def test_numbers_that_are_none_leave_their_row_out(value, where):
    size = (224, 262)
    scores, deltas = random_map(size, 7)
    scores[6, 7, :, 1] += 20  # the best of all, were they any
    target = deltas[6, 7, 2:5, 3] if where == "deltas" else scores[6, 7, 2:5, where == "object"]
    target[...] = value
    layer = Propose(**NINE, pre_nms=600, post_nms=100)
    assert check(layer, scores, deltas, size, (0.5, 0.5)) > 20
    assert np.isfinite(call(layer, scores, deltas, size)[0]).all()


@pytest.mark.parametrize("value", [100, -100])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_deltas_beyond_all_measure(value, axis):
    size = (320, 427)
    scores, deltas = random_map(size, 8)
    deltas[::3, ::2, ::2, axis] = value
    layer = Propose(**NINE, pre_nms=2000, post_nms=300)
    assert check(layer, scores, deltas, size, (0.7, 0.7)) > 20
    proposals, _ = call(layer, scores, deltas, size)
    assert proposals.min() >= -1 and proposals.max() <= 427


def test_a_side_grows_at_most_62_5_times():
    scores, deltas = only((1600, 1600), [(50, 50, 0)], 1)
    deltas[50, 50, 0, 2:] = 4, 5  # 54.6 times, and more than there is
    layer = Propose((1,), (1,), post_nms=1)
    (box,), _ = call(layer, scores, deltas, (1600, 1600))
    half = np.array([8 * np.exp(4), 500])
    np.testing.assert_allclose(box, np.concatenate([808 - half, 808 + half]), atol=1e-3)


@pytest.mark.parametrize("rows, columns", [(0, 5), (5, 0), (0, 0)])
def test_a_map_without_cells_gives_padding(rows, columns):
    layer = Propose(**NINE, post_nms=6)
    maps = (np.zeros((rows, columns, 9, size), np.float32) for size in (2, 4))
    proposals, objectness = call(layer, *maps, (8, 90))
    assert (proposals == -1).all() and proposals.shape == (6, 4) and not objectness.any()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_batch_gives_what_each_image_gives_alone(n):
    size = (224, 262)
    layer = Propose(**NINE, pre_nms=600, post_nms=100)
    traced = tf.function(
        layer.call,
        input_signature=[
            tf.TensorSpec([None, None, None, None, 2]),
            tf.TensorSpec([None, None, None, None, 4]),
            tf.TensorSpec([None, 2], tf.int32),
            tf.TensorSpec([None, 2]),
        ],
    )
    maps = [(blank_map if i == 1 else random_map)(size, i) for i in range(n)]
    scales = np.array([[0.5 + i / 4, 0.6 + i / 4] for i in range(n)], np.float32)
    sizes = np.array([[224 - 5 * i, 262 - 7 * i] for i in range(n)], np.int32)
    together = traced(*map(np.stack, zip(*maps, strict=True)), sizes, scales)
    for i, (scores, deltas) in enumerate(maps):
        check(layer, scores, deltas, sizes[i], scales[i])
        alone = call(layer, scores, deltas, sizes[i], scales[i])
        np.testing.assert_array_equal(together[0][i], alone[0])
        # The last bit of a sigmoid depends on its place in the vector.
        np.testing.assert_allclose(together[1][i], alone[1], rtol=1e-6)


def test_no_gradient_passes():
    layer = Propose(**NINE, post_nms=20)
    scores, deltas = (tf.constant(x[None]) for x in random_map((224, 262), 3))
    with tf.GradientTape() as tape:
        tape.watch([scores, deltas])
        outputs = layer(scores, deltas, np.array([[224, 262]]), np.ones((1, 2), np.float32))
        total = sum(map(tf.reduce_sum, outputs))
    assert tape.gradient(total, [scores, deltas]) == [None, None]


def test_configuration_makes_the_layer_again():
    layer = Propose((2, 4.5), (0.5, 3), 8, None, 17, 0.6, 3.5, name="x", dtype="mixed_bfloat16")
    again = Propose.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.pre_nms, again.post_nms, again.stride) == (None, 17, 8)
    assert (again.nms_iou, again.min_size, again.scales) == (0.6, 3.5, (2, 4.5))
