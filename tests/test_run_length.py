import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from keras_frcnn import run_length


def bitmaps():
    sizes = st.tuples(st.integers(1, 12), st.integers(1, 40))
    return sizes.flatmap(
        lambda size: st.lists(
            st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]
        ).map(lambda cells: np.reshape(cells, size))
    )


def from_runs(runs, height, width):
    """The definition: zeros first, column by column."""
    return np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T


@settings(max_examples=60, deadline=None)
@given(bitmaps())
def test_bitmaps_come_back(bitmap):
    counts = run_length.from_bitmap(bitmap)
    assert (run_length.to_bitmap(counts, *bitmap.shape) == bitmap).all()
    runs = run_length.runs(counts)
    assert (from_runs(runs, *bitmap.shape) == bitmap).all()
    assert run_length.from_runs(runs.tolist(), *bitmap.shape) == counts
    assert run_length.area(counts, *bitmap.shape) == bitmap.sum()


def test_numbers_of_several_characters():
    # Lengths and differences of more than five bits, of both signs.
    runs = [70_000, 1, 5, 40_000, 3, 100, 1_000_000, 2]
    height, width = sum(runs), 1
    counts = run_length.from_runs(runs, height, width)
    assert run_length.runs(counts).tolist() == runs


@pytest.mark.parametrize("text", [b"\x10", b"a", b"2a"])
def test_what_is_no_run_lengths_is_refused(text):
    with pytest.raises(ValueError):
        run_length.check(text, 3, 3)


def test_lengths_must_fill_the_image():
    counts = run_length.from_bitmap(np.eye(3))
    run_length.check(counts, 3, 3)
    with pytest.raises(ValueError, match="do not add up to 4 x 3"):
        run_length.check(counts, 4, 3)
    with pytest.raises(ValueError, match="do not add up"):
        run_length.from_runs([4, -1, 6], 3, 3)


def square(first, last):
    return [[first, first, last, first, last, last, first, last]]


# Centres on the left or upper edge are outside, on the right or lower edge inside.
@pytest.mark.parametrize(
    "corners, pixels", [((1.5, 4.5), (2, 4)), ((1.4, 4.4), (1, 3)), ((0, 4), (0, 3))]
)
def test_which_pixels_a_polygon_has(corners, pixels):
    bitmap = run_length.to_bitmap(run_length.from_polygons(square(*corners), 8, 8), 8, 8)
    expected = np.zeros((8, 8))
    expected[pixels[0] : pixels[1] + 1, pixels[0] : pixels[1] + 1] = 1
    np.testing.assert_array_equal(bitmap, expected)


def test_polygons_are_joined_and_cut():
    apart = square(-5, 2) + square(6, 99)
    bitmap = run_length.to_bitmap(run_length.from_polygons(apart, 9, 9), 9, 9)
    assert bitmap[:2, :2].all() and bitmap[6:, 6:].all() and bitmap.sum() == 4 + 9


@pytest.mark.parametrize("polygons", [[], [[0, 0, 4, 4]], [[0, 0, 4, 4, 5, 5, 6]]])
def test_less_than_a_triangle_is_refused(polygons):
    with pytest.raises(ValueError, match="three corners"):
        run_length.from_polygons(polygons, 5, 5)


def test_the_box_of_a_mask():
    bitmap = np.zeros((6, 7))
    bitmap[2:4, 3:6] = 1
    assert run_length.box_of(run_length.from_bitmap(bitmap), 6, 7) == (3, 2, 6, 4)
    assert run_length.box_of(run_length.from_bitmap(bitmap * 0), 6, 7) == (0, 0, 0, 0)


def test_a_filled_box_has_the_pixels_whose_centres_are_in_it():
    counts = run_length.from_box((1.2, 0.7, 5.4, 4.4), 8, 9)
    expected = np.zeros((8, 9))
    expected[1:4, 1:5] = 1
    np.testing.assert_array_equal(coco_mask.decode(run_length.as_rle(counts, 8, 9)), expected)
