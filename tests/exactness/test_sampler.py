"""The sampler against rational arithmetic, and its draws against the uniform distribution."""

import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_frcnn.sampling import sample_rois
from tests.exactness import formulas


def integer_boxes(rng, count, size):
    """Boxes inside a square of `size` pixels: small integers often meet 1/2 and 1/10 exactly."""
    corner = rng.integers(0, size - 1, (count, 2))
    far = corner + 1 + (rng.uniform(0, 1, (count, 2)) * (size - corner)).astype(int)
    return np.concatenate([corner, np.minimum(far, size)], axis=1)


def rows(rois, labels, targets):
    """Sampled rows (x1, y1, x2, y2, label, tx, ty, tw, th) in lexicographic order."""
    table = np.column_stack([rois, labels, targets]).astype(np.float64)
    return table[np.lexsort(table[:, 4::-1].T)]


@pytest.mark.parametrize("seed", range(8))
def test_candidates_are_exactly_those_of_the_paper(seed):
    """With a quota that no kind exhausts every candidate is drawn, exactly once."""
    rng = np.random.default_rng(seed)
    gt_boxes = integer_boxes(rng, 3, 20)
    gt_classes = np.array([2, 5, 2])
    proposals = integer_boxes(rng, 250, 20)
    everything = np.concatenate([proposals, gt_boxes])  # ground truth is added
    overlaps = [max(formulas.iou(r, g) for g in gt_boxes) for r in everything]
    assert sum(o * 10 in (1, 5) for o in overlaps) >= 1, "no box at an exact edge"

    labels, targets = formulas.label(everything, gt_boxes, gt_classes)
    drawn = [i for i, u in enumerate(labels) if u is not None]
    size = 4 * len(everything)  # a quarter is enough for all of them
    found = [
        x.numpy()
        for x in sample_rois(
            proposals.astype(np.float32), gt_boxes.astype(np.float32), gt_classes, [seed, 0], size
        )
    ]
    real = found[1] >= 0
    assert real.sum() == len(drawn) and not any(x[~real].any() for x in (found[0], found[2]))
    expected = rows(everything[drawn], np.array(labels)[drawn], np.array(targets)[drawn])
    np.testing.assert_allclose(rows(*(x[real] for x in found)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "fg_candidates, bg_candidates, expected",
    [  # of 64 RoIs: foreground, background, padding
        (16, 48, (16, 48, 0)),  # exactly enough
        (17, 49, (16, 48, 0)),
        (15, 49, (15, 49, 0)),  # background fills up
        (15, 48, (15, 48, 1)),
        (1, 200, (1, 63, 0)),  # the object alone is foreground
        (200, 47, (16, 47, 1)),  # foreground does not fill up
        (200, 0, (16, 0, 48)),
        (1, 0, (1, 0, 63)),
    ],
)
def test_counts(fg_candidates, bg_candidates, expected):
    gt = [[0, 0, 100, 100]]
    fg = [[0, 0, 100, 100 - i % 50] for i in range(fg_candidates - 1)]  # and the object itself
    bg = [[0, 0, 100, 10 + i % 40] for i in range(bg_candidates)]
    never = [[0, 0, 100, 9], [200, 200, 300, 300]]
    proposals = np.array(fg + bg + never, np.float32)
    _, labels, _ = sample_rois(proposals, np.array(gt, np.float32), np.array([1]), [0, 0])
    labels = labels.numpy()
    assert tuple((labels == u).sum() for u in (1, 0, -1)) == expected
    assert (np.diff(np.flatnonzero(labels >= 0)) == 1).all(), "padding stands last"


@pytest.mark.parametrize("rois_per_image, fg", [(4, 1), (8, 2), (64, 16), (128, 32)])
def test_a_quarter_is_foreground(rois_per_image, fg):
    proposals = np.array([[0, 0, 100, 10 + i % 90] for i in range(600)], np.float32)
    gt = np.array([[0, 0, 100, 100]], np.float32)
    _, labels, _ = sample_rois(proposals, gt, np.array([1]), [0, 0], rois_per_image)
    assert (labels.numpy() == 1).sum() == fg and (labels.numpy() == 0).sum() == rois_per_image - fg


def test_a_proposal_on_an_object_counts_beside_it():
    gt = np.array([[3, 3, 13, 13]], np.float32)
    rois, labels, _ = sample_rois(gt, gt, np.array([4]), [0, 0], 8)
    assert labels.numpy().tolist() == [4, 4] + [-1] * 6
    np.testing.assert_array_equal(rois[:2], np.repeat(gt, 2, axis=0))


def test_the_first_of_equally_good_objects_is_the_target():
    gt = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    roi = np.array([[0, 0, 10, 8]], np.float32)
    _, labels, _ = sample_rois(roi, gt, np.array([7, 2]), [0, 0], 16)
    assert labels.numpy()[:4].tolist() == [7, 7, 7, -1]


@pytest.fixture(scope="module")
def draws():
    """Which of 6 foreground and 6 background candidates 6000 draws of 2 and 6 - 2 took."""
    gt = np.array([[0, 0, 10, 10]], np.float32)
    fg = [[0, 0, 10, h] for h in (9, 8, 7, 6, 5)]  # and the object
    bg = [[0, 0, w, 4] for w in (10, 9, 8, 7, 6, 5)]
    proposals = tf.constant(fg + bg, tf.float32)

    @tf.function
    def draw(seed):
        rois, labels, _ = sample_rois(proposals, gt, [1], seed, 6, fg_fraction=1 / 3)
        return rois, labels

    seeds = tf.stack([tf.range(6000) // 100, tf.range(6000) % 100], axis=1)
    signature = (tf.TensorSpec([6, 4]), tf.TensorSpec([6], tf.int32))
    rois, labels = tf.function(
        lambda s: tf.map_fn(draw, s, fn_output_signature=signature, parallel_iterations=1)
    )(seeds)
    assert (labels.numpy() == [1, 1, 0, 0, 0, 0]).all()
    rois = rois.numpy()
    return [frozenset(map(tuple, r[:2])) for r in rois], [
        frozenset(map(tuple, r[2:])) for r in rois
    ]


def uniform_p_value(found, possible):
    """P-value of the chi-square test that every outcome of `possible` is equally likely."""
    counts = Counter(found)
    assert set(counts) <= set(possible)
    return stats.chisquare([counts[outcome] for outcome in possible]).pvalue


def test_every_subset_is_equally_likely(draws):
    """Uniform without replacement: each of the 15 pairs and of the 15 quadruples alike."""
    for subsets, size in zip(draws, (2, 4), strict=True):
        candidates = frozenset().union(*subsets)
        assert len(candidates) == 6
        possible = [frozenset(c) for c in itertools.combinations(candidates, size)]
        assert all(len(s) == size for s in subsets)  # distinct: without replacement
        # The seeds are fixed, and with them the outcome: chance fails one choice in a thousand.
        assert uniform_p_value(subsets, possible) > 1e-3


def test_foreground_and_background_are_drawn_independently(draws):
    fg, bg = draws
    table = Counter(zip(fg, bg, strict=True))
    cells = [[table[f, b] for b in set(bg)] for f in set(fg)]
    assert np.shape(cells) == (15, 15)
    assert stats.chi2_contingency(cells).pvalue > 1e-3
