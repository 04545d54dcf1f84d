"""SPPnet's windows against the released code's numbers and their meaning (checks C1 to C7)."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.baselines.cells import ZF5, CellGrid, best_scales, merged, window_cells
from keras_frcnn.models.layers import RoIPool, SpatialPyramidPool

# Windows in pixels counted from 1, ends included; cells counted from 1, of a map of 40 cells.
TABLE = [
    ((1, 224), (1, 13), (1, 14)),
    ((17, 240), (1, 14), (2, 15)),
    ((9, 232), (1, 14), (2, 14)),
    ((100, 323), (6, 19), (7, 20)),
    ((1, 16), (1, 1), (1, 1)),
    ((1, 1), (1, 1), (1, 1)),
]


@pytest.mark.parametrize(("window", "zf5", "centred"), TABLE)
def test_cells_are_those_of_the_released_code(window, zf5, centred):
    box = np.array([[window[0] - 1, window[0] - 1, window[1], window[1]]])
    for grid, (first, last) in ((ZF5, zf5), (CellGrid(), centred)):
        cells = window_cells(box, (40, 40), grid)[0]
        np.testing.assert_array_equal(cells, [first - 1, first - 1, last - 1, last - 1])


@pytest.mark.parametrize("grid", [ZF5, CellGrid(), CellGrid(8, 4.0)])
def test_cells_have_their_centres_in_the_window(grid):
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 500, (10_000, 2))
    boxes = np.concatenate([start, start + rng.uniform(0, 200, (10_000, 2))], axis=1)
    cells = window_cells(boxes, (100, 90), grid)
    for axis, size in ((0, 90), (1, 100)):
        centers = grid.center + grid.stride * np.arange(size)
        low, high = boxes[:, axis, None] - grid.slack, boxes[:, axis + 2, None] + grid.slack
        inside = (centers > low) & (centers < high)
        some = inside.any(axis=1)
        np.testing.assert_array_equal(cells[some, axis], inside[some].argmax(axis=1))
        last = size - 1 - inside[some, ::-1].argmax(axis=1)
        np.testing.assert_array_equal(cells[some, axis + 2], last)
        assert (cells[:, axis] == cells[:, axis + 2])[~some].all()


def test_integer_cells_give_bins_of_floor_and_ceil_on_every_level():
    count = 40
    values = tf.reshape(tf.range(count, dtype=tf.float32), [1, 1, count, 1])
    pairs = [(a, b) for a in range(count) for b in range(a, count)]
    rois = tf.constant([[[a, 0, b, 0] for a, b in pairs]], tf.float32)
    for bins in (1, 2, 3, 6):
        pooled = RoIPool((1, bins), 1.0)(values, rois)[0, :, 0, :, 0].numpy()
        a, b = np.array(pairs).T
        cells = b - a + 1
        for n in range(bins):  # the maximum of a ramp is its last cell
            np.testing.assert_array_equal(pooled[:, n], a + -(-(n + 1) * cells // bins) - 1)


def test_a_pyramid_is_its_levels_one_after_the_other():
    features = tf.random.stateless_normal([1, 9, 8, 5], (0, 1)) - 10  # all below 0, as linear ones
    rois = tf.constant([[[1, 2, 6, 7], [0, 0, 7, 8]]], tf.float32)
    vectors = SpatialPyramidPool(spatial_scale=1.0)(features, rois)
    assert vectors.shape == (1, 2, 50 * 5)
    levels = [tf.reshape(RoIPool(n, 1.0)(features, rois), [1, 2, -1]) for n in (1, 2, 3, 6)]
    np.testing.assert_array_equal(vectors, tf.concat(levels, axis=2))
    assert (vectors.numpy() < 0).all()


def test_scales_of_the_worked_examples():
    sides = [(100, 100), (50, 50), (300, 200), (130, 130)]
    boxes = np.array([[0, 0, w, h] for w, h in sides])
    scales = (480, 576, 688, 864, 1200)
    assert [scales[i] for i in best_scales(boxes, 375, scales)] == [864, 1200, 480, 576]
    assert best_scales(boxes[:1], 375, (880, 680)).tolist() == [0]  # both 100 from 780
    assert best_scales(np.zeros((1, 4)), 375, scales).tolist() == [4]


def test_windows_of_the_same_cells_are_merged_into_the_first():
    scales = np.array([0, 1, 0, 0])
    cells = np.array([[5, 5, 6, 6], [0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 6, 6]])
    places, index = merged(scales, cells)
    assert places.tolist() == [0, 1, 2]
    assert index.tolist() == [0, 1, 2, 0]
