"""Anchors against the authors' two releases and against counting over whole pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_frcnn.models.anchors import (
    anchor_grid,
    base_anchors,
    cells_of,
    inside_anchors,
    inside_cells,
)
from tests.exactness import numpy_anchors

# From the comment of py-faster-rcnn's generate_anchors.py, which are those of the MATLAB release:
# pixels counted from 1, both ends inside.
MATLAB = [
    [-83, -39, 100, 56], [-175, -87, 192, 104], [-359, -183, 376, 200],
    [-55, -55, 72, 72], [-119, -119, 136, 136], [-247, -247, 264, 264],
    [-35, -79, 52, 96], [-79, -167, 96, 184], [-167, -343, 184, 360],
]  # fmt: skip


def py_faster_rcnn_anchors():
    """What that file's functions return, written again: pixels from 0, both ends inside."""

    def centred(width, height):  # on the middle of the pixels 0 to 15
        x, y = (width - 1) / 2, (height - 1) / 2
        return [7.5 - x, 7.5 - y, 7.5 + x, 7.5 + y]

    sides = [(w := round((16 * 16 / r) ** 0.5), round(w * r)) for r in (0.5, 1, 2)]
    return np.array([centred(w * s, h * s) for w, h in sides for s in (8, 16, 32)])


def test_the_authors_nine_in_three_conventions():
    ours = base_anchors()
    assert ours.dtype == np.float32
    sizes = (ours[:, 2:] - ours[:, :2]).tolist()
    assert sizes == [
        [184, 96], [368, 192], [736, 384], [128, 128], [256, 256], [512, 512],
        [88, 176], [176, 352], [352, 704],
    ]  # fmt: skip
    # A pixel p of those counted from 1 covers p - 1 to p.
    np.testing.assert_array_equal(ours + np.array([1, 1, 0, 0]), MATLAB)
    np.testing.assert_array_equal(ours - np.array([0, 0, 1, 1]), py_faster_rcnn_anchors())
    np.testing.assert_array_equal((ours[:, :2] + ours[:, 2:]) / 2, np.full((9, 2), 8))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [0.7, 1, 1.3, 2.5, 3, 6.4, 12.8, 25.6, 41.9])
def test_other_scales_have_the_nearest_even_sides(scale, ratio):
    ((x1, y1, x2, y2),) = base_anchors((scale,), (ratio,))
    assert all(c == int(c) for c in (x1, y1, x2, y2)), "whole pixels"
    width = {0.5: 23, 1: 16, 2: 11}[ratio]
    height = {0.5: 12, 1: 16, 2: 22}[ratio]
    assert abs(x2 - x1 - width * scale) <= 1 and abs(y2 - y1 - height * scale) <= 1
    assert (x1 + x2) / 2 == 8 and (y1 + y2) / 2 == 8


def test_other_strides_and_many_scales():
    assert base_anchors((4, 8), (1,), base=8).tolist() == [[-12, -12, 20, 20], [-28, -28, 36, 36]]
    assert base_anchors((2, 4, 8, 16), (0.5, 1, 2)).shape == (12, 4)
    assert base_anchors((0.01,), (1,)).tolist() == [[7, 7, 9, 9]]  # never without area


def test_the_grid_is_in_the_order_of_a_map_with_channels_last():
    base = base_anchors((1, 2), (0.5, 2))
    grid = anchor_grid(3, 5, base, 16).numpy()
    assert grid.shape == (3 * 5 * 4, 4)
    places = np.arange(len(grid)).reshape(3, 5, 4)  # as `reshape` takes a map [H', W', A] apart
    for y, x, a in np.ndindex(3, 5, 4):
        expected = base[a] + 16 * np.array([x, y, x, y])
        np.testing.assert_array_equal(grid[places[y, x, a]], expected)


@pytest.mark.parametrize(
    "size, all_of_them, inside",
    [
        ((600, 1000), 20646, (1632, 1040, 238, 1650, 1034, 186, 1539, 832, 0)),
        ((600, 800), 16650, (1216, 728, 56, 1260, 748, 108, 1188, 640, 0)),
        ((800, 600), 16650, (1144, 570, 0, 1260, 748, 108, 1280, 756, 96)),
        ((480, 640), 10800, (672, 324, 0, 704, 336, 0, 680, 240, 0)),
        ((320, 427), 4680, (210, 32, 0, 228, 44, 0, 210, 0, 0)),
        ((224, 262), 2016, (40, 0, 0, 48, 0, 0, 44, 0, 0)),
    ],
)
def test_counts_of_images(size, all_of_them, inside):
    base = base_anchors()
    rows, columns = cells_of(np.array(size), 16).numpy()
    assert len(anchor_grid(rows, columns, base, 16)) == all_of_them
    boxes, index = inside_anchors(np.array(size), base, 16)
    assert len(boxes) == sum(inside)
    assert np.bincount(index[:, 2], minlength=9).tolist() == list(inside)


@settings(deadline=None)
@given(
    height=st.integers(16, 1100),
    width=st.integers(16, 1100),
    halves=st.lists(st.tuples(st.integers(8, 400), st.integers(8, 400)), min_size=1, max_size=5),
)
def test_no_trunk_has_more_anchors_inside_than_the_map_rounded_down(height, width, halves):
    """An anchor inside with half-sides of a cell's or more stands in a cell of either map."""
    base = np.array([[8 - w, 8 - h, 8 + w, 8 + h] for w, h in halves], np.float32)
    boxes, index = inside_anchors(np.array([height, width]), base, 16)
    expected_boxes, expected_index = numpy_anchors.inside((height, width), base, rounded_up=True)
    np.testing.assert_array_equal(boxes, expected_boxes)
    np.testing.assert_array_equal(index, expected_index)


def test_the_same_for_every_side_and_the_smallest_anchors():
    """One axis decides: each side from 16 to 1100 with the half-sides that reach its border."""
    for side in range(16, 1101):
        centres = np.arange(-(-side // 16)) * 16 + 8
        # The last cell, where the two maps differ, holds an anchor only if its half-side is less
        # than what is left of the image: fewer than 8 pixels where the map rounded down lacks it.
        if len(centres) > side // 16:
            assert side - centres[-1] < 8


@pytest.mark.parametrize("size", [(1, 1), (8, 2000), (15, 15), (16, 16), (400, 88), (88, 400)])
def test_images_too_small_for_any_anchor_have_none(size):
    boxes, index = inside_anchors(np.array(size), base_anchors(), 16)
    assert boxes.shape == (0, 4) and index.shape == (0, 3)


@pytest.mark.parametrize("size, cells", [(1, 1), (15, 1), (16, 1), (31, 1), (32, 2), (1000, 62)])
def test_cells_are_whole_ones_but_never_none(size, cells):
    assert int(cells_of(np.array(size), 16)) == cells


@settings(deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 700), st.integers(1, 700)), min_size=1, max_size=4),
    scale=st.sampled_from([0.5, 1, 2.5, 8, 16]),
    stride=st.sampled_from([8, 16, 32]),
)
def test_the_anchors_inside_stand_in_rectangles(sizes, scale, stride):
    base = base_anchors((scale,), base=stride)
    first, last = inside_cells(sizes, base, stride)
    for n, size in enumerate(sizes):
        index = inside_anchors(np.array(size), base, stride)[1].numpy()
        for a in range(3):
            cells = index[index[:, 2] == a, :2]
            assert len(cells) == np.prod(np.maximum(last[n, a] - first[n, a] + 1, 0))
            if len(cells):
                assert (cells.min(axis=0) == first[n, a]).all()
                assert (cells.max(axis=0) == last[n, a]).all()
