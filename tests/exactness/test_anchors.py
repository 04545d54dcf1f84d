"""Labels and matches of anchors, bit for bit, and targets against NumPy's; the draws by chance."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_frcnn.batches.anchor_targets import anchor_targets, assign_anchors, sample_anchors
from keras_frcnn.data.load import load
from keras_frcnn.data.preprocessing import box_scale, scaled_size
from keras_frcnn.models.anchors import base_anchors, inside_anchors
from keras_frcnn.models.rpn import ProposalOptions
from tests.exactness import formulas, numpy_anchors
from tests.shared_data import shared_data

NINE = base_anchors()


def assigning(base):
    """(size, objects) -> anchors inside, their places, labels and matches, as in the pipeline."""

    @tf.function(input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([None, 4])])
    def assigned(size, gt_boxes):
        anchors, index = inside_anchors(size, base, 16)
        return anchors, index, *assign_anchors(anchors, gt_boxes)

    return assigned


def check_assignment(found, size, objects, base):
    """Compare with NumPy; returns what the latter says: IoU [I, M], labels and matches."""
    anchors, places = numpy_anchors.inside(size, base)
    iou = numpy_anchors.overlaps(anchors, objects)
    labels, matched = numpy_anchors.assign(iou)
    np.testing.assert_array_equal(found[0], anchors)
    np.testing.assert_array_equal(found[1], places)
    np.testing.assert_array_equal(found[2], labels)
    np.testing.assert_array_equal(found[3], matched)
    return iou, labels, matched


def test_the_photographs_of_the_voc_subset():
    """1000 photographs at 600 / 1000: 6.3 million labels and their matches, and the targets."""
    count = Counter()
    assigned = assigning(NINE)
    draw = tf.function(
        lambda size, objects, seed: anchor_targets(size, objects, seed, ProposalOptions()),
        input_signature=[
            tf.TensorSpec([2], tf.int32),
            tf.TensorSpec([None, 4]),
            tf.TensorSpec([2], tf.int32),
        ],
    )
    for i, record in enumerate(load(shared_data("voc2007_subset"), "trainval").images):
        original = (record.height, record.width)
        size = scaled_size(original, 600, 1000)
        objects = (record.boxes[~record.is_difficult] * box_scale(original, size)).numpy()
        found = assigned(size, objects)
        iou, labels, matched = check_assignment(found, size.numpy(), objects, NINE)

        sample = [x.numpy() for x in draw(size, objects, [0, i])]
        check_sample(*sample, found[1].numpy(), found[0].numpy(), labels, objects[matched])
        best = iou.max(axis=0)
        count["anchors"] += len(labels)
        count["positive"] += (labels == 1).sum()
        count["poor"] += (iou.max(axis=1)[labels == 1] < 0.3).sum()
        count["objects"] += len(objects)
        count["tied objects"] += ((iou == best).sum(axis=0) > 1)[best > 0].sum()
        count["small images"] += (labels >= 0).sum() < 256
        count["many positives"] += (labels == 1).sum() > 128
    # The photographs are fixed, and so are these numbers.
    assert count["anchors"] == 6_316_100 and count["objects"] == 2330
    assert count["positive"] == 34_283 and count["tied objects"] == 2005
    assert count["small images"] == 0 and count["many positives"] == 12
    assert count["poor"] / count["positive"] == pytest.approx(0.092, abs=5e-4)


def check_sample(index, labels, targets, places, anchors, all_labels, all_objects):
    """What is drawn is labelled as it must be, once each, and has the targets of its object."""
    rows = np.full(places.max(axis=0) + 1, -1)
    rows[tuple(places.T)] = np.arange(len(places))
    drawn = rows[tuple(index[labels >= 0].T)]
    assert (drawn >= 0).all(), "inside"
    assert len(set(drawn)) == len(drawn) == min(256, (all_labels >= 0).sum())
    np.testing.assert_array_equal(labels[labels >= 0], all_labels[drawn])
    assert (labels == 1).sum() == min(128, (all_labels == 1).sum())
    positive = drawn[all_labels[drawn] == 1]
    expected = numpy_anchors.encode(anchors[positive], all_objects[positive])
    assert expected.dtype == np.float32
    np.testing.assert_allclose(targets[labels == 1], expected, rtol=1e-6, atol=0)
    assert not targets[labels < 1].any()
    for i in positive[:2]:  # and the formula in double precision
        exact = formulas.encode(anchors[i], all_objects[i])
        np.testing.assert_allclose(targets[list(drawn).index(i)], exact, atol=1e-5)


# Sets of anchors for generated images of up to 700 pixels.
SETS = (NINE, base_anchors((2, 4, 8)), base_anchors((6.4, 12.8)), base_anchors((1, 3), (0.5, 1.5)))


def equal_to_an_anchor(rng, size, anchors):
    return anchors[rng.integers(len(anchors), size=2)]


def containing_hundreds(rng, size, anchors):
    height, width = size
    return np.array([[*rng.uniform(0, 4, 2), *([width, height] - rng.uniform(0, 4, 2))]])


def with_the_same_best_anchor(rng, size, anchors):
    box = anchors[rng.integers(len(anchors))]
    return box + rng.integers(-2, 3, (2, 4))


def beyond_the_anchors(rng, size, anchors):
    """At the right border, where the anchors inside end; the bottom right corner."""
    height, width = size
    right, bottom = anchors[:, 2].max(), anchors[:, 3].max()
    return np.array([[right, 0, width + 1, 9], [right, bottom, width + 1, height + 1]])


def of_exactly(tenths, rng, anchors):
    """An object whose IoU with some anchor is that fraction, by a search over whole pixels."""
    x1, y1, x2, y2 = rng.choice(anchors)
    w, h = x2 - x1, y2 - y1
    # Beginning `beyond` pixels before the anchor, it shares `common` columns and `low` rows.
    common, beyond, low = np.meshgrid(
        np.arange(1, w + 1), np.arange(40), np.arange(max(h - 20, 1), h + 1), indexing="ij"
    )
    found = 10 * common * low == tenths * (w * h + beyond * low)
    i = rng.choice(np.flatnonzero(found))
    x = x1 - beyond.flat[i]
    return np.array([[x, y1, x1 + common.flat[i], y1 + low.flat[i]]])


def of_exactly_3_tenths(rng, size, anchors):
    return of_exactly(3, rng, anchors)


def of_exactly_7_tenths(rng, size, anchors):
    return of_exactly(7, rng, anchors)


def none(rng, size, anchors):
    return np.zeros((0, 4))


def of_one_pixel(rng, size, anchors):
    corner = rng.integers(0, min(size), 2)
    return np.array([[*corner, *(corner + 1)]])


def of_less_than_a_pixel(rng, size, anchors):
    corner = rng.uniform(0, min(size) - 1, 2)
    return np.array([[*corner, corner[0] + 0.01, corner[1] + 0.3]])


def anywhere(rng, size, anchors, count=5):
    height, width = size
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)) * [width, height], axis=1)
    return corners.reshape(-1, 4)


def five_hundred(rng, size, anchors):
    return anywhere(rng, size, anchors, 500)


def touching_the_border(rng, size, anchors):
    height, width = size
    x, y = rng.uniform(1, width - 1), rng.uniform(1, height - 1)
    return np.array(
        [[0, 0, x, y], [x, 0, width, y], [0, y, x, height], [x, y, width, height]],
    )


def twice_the_same(rng, size, anchors):
    return np.repeat(anywhere(rng, size, anchors, 2), 2, axis=0)


KINDS = (
    equal_to_an_anchor,
    containing_hundreds,
    with_the_same_best_anchor,
    beyond_the_anchors,
    of_exactly_3_tenths,
    of_exactly_7_tenths,
    none,
    of_one_pixel,
    of_less_than_a_pixel,
    anywhere,
    five_hundred,
    touching_the_border,
    twice_the_same,
)


def test_adversarial_cases():
    """2000 images of up to 400 pixels, each kind of objects on each set of anchors."""
    rng = np.random.default_rng(0)
    functions = [assigning(base) for base in SETS]
    count = Counter()
    for i in range(2000):
        kind, which = KINDS[i % len(KINDS)], i // len(KINDS) % len(SETS)
        base = SETS[which]
        size = rng.integers(100, 400, 2)
        if i % 10 == 0:  # a strip
            size[i // 10 % 2] = rng.integers(1, 89)
        anchors, _ = numpy_anchors.inside(size, base)
        if len(anchors) or kind in (none, anywhere, five_hundred, touching_the_border):
            objects = kind(rng, size, anchors).astype(np.float32)
        else:
            objects = np.float32([[0, 0, *size[::-1]]])
        found = functions[which](size.astype(np.int32), objects)
        iou, _, matched = check_assignment(found, size, objects, base)

        # What the cases are made for has happened.
        count["no anchors"] += not len(anchors)
        if len(anchors) and len(objects):
            best = iou.max(axis=0)
            count["untouched"] += (best == 0).any()
            count["hundreds tied"] += ((iou == best).sum(axis=0) > 100)[best > 0].any()
            count["equal"] += (iou == 1).any()
            count["0.3"] += (iou.max(axis=1) == np.float32(0.3)).any()
            count["0.7"] += (iou.max(axis=1) == np.float32(0.7)).any()
            count["best of two"] += len(objects) == 2 and ((iou == best) & (best > 0)).all(1).any()
            is_best = ((iou == best) & (best > 0)).any(axis=1)
            count["of another object"] += (best[matched] > iou.max(axis=1))[is_best].any()
    assert min(count.values()) >= 40 and len(count) == 8, count


def candidates(positive, negative, ignored=70):
    """Labels of so many anchors, mixed."""
    labels = np.repeat([1, 0, -1], [positive, negative, ignored]).astype(np.int32)
    return np.random.default_rng(0).permutation(labels)


@pytest.mark.parametrize(
    "positive, negative, expected",
    [  # candidates of each kind -> drawn of each kind, of 256
        (128, 128, (128, 128)),  # exactly enough
        (129, 500, (128, 128)),
        (127, 500, (127, 129)),  # negatives fill up
        (1, 5000, (1, 255)),
        (0, 300, (0, 256)),
        (3, 100, (3, 100)),
        (300, 100, (128, 100)),  # positives do not fill up
        (300, 0, (128, 0)),
        (0, 0, (0, 0)),
    ],
)
def test_how_many_are_drawn(positive, negative, expected):
    labels = candidates(positive, negative)
    for seed in range(5):
        drawn = [x.numpy() for x in sample_anchors(labels, [seed, 0])]
        assert tuple(map(len, drawn)) == expected
        assert (labels[drawn[0]] == 1).all() and (labels[drawn[1]] == 0).all()
        assert all(len(set(places)) == len(places) for places in drawn)


def test_the_draw_is_a_function_of_the_seed():
    labels = candidates(300, 900)
    draws = [np.concatenate(sample_anchors(labels, seed)) for seed in ([3, 4], [3, 4], [3, 5])]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    in_graph = tf.function(sample_anchors)(labels, [3, 4])
    np.testing.assert_array_equal(draws[0], np.concatenate(in_graph))


@pytest.mark.parametrize("positive, negative", [(300, 900), (40, 260), (130, 1500)])
def test_every_candidate_is_drawn_as_often(positive, negative):
    labels = candidates(positive, negative)
    seeds = tf.stack([tf.range(2000) // 7, tf.range(2000)], axis=1)
    drawn = min(128, positive)
    signature = (tf.TensorSpec([drawn], tf.int32), tf.TensorSpec([256 - drawn], tf.int32))
    draws = tf.function(
        lambda: tf.map_fn(
            lambda seed: sample_anchors(labels, seed), seeds, fn_output_signature=signature
        )
    )()
    for places, label in zip(draws, (1, 0), strict=True):
        candidate = np.flatnonzero(labels == label)
        n, k = len(candidate), places.shape[1]
        counts = np.bincount(places.numpy().ravel(), minlength=len(labels))
        assert counts.sum() == counts[candidate].sum() == 2000 * k
        if n == k:
            continue  # all of them, each time
        # Each is drawn with p = k / n; k without replacement leave n - 1 degrees of freedom.
        variance = 2000 * k / n * (1 - k / n)
        squares = ((counts[candidate] - 2000 * k / n) ** 2).sum()
        # The seeds are fixed, and with them the outcome: chance fails one choice in a thousand.
        assert stats.chi2.sf(squares / variance * (n - 1) / n, n - 1) > 1e-3
