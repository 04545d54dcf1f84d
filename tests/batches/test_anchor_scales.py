"""Suggested scales: known answers, every place tried, every choice tried."""

import itertools

import numpy as np
import pytest

from keras_frcnn.batches.anchor_scales import GRID, best_overlaps, suggest_scales
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import base_anchors, inside_cells
from tests.batches.test_anchor_statistics import objects_in
from tests.exactness import numpy_anchors


def squares(sides, size=(600, 800)):
    """One square of each of these sides somewhere in each of 20 images."""
    rng = np.random.default_rng(0)
    boxes = []
    for _ in range(20):
        corners = [rng.uniform(0, min(size) - side, 2) for side in sides]
        boxes.append([(*c, *(c + s)) for c, s in zip(corners, sides, strict=True)])
    return objects_in([size] * 20, boxes)


@pytest.mark.parametrize(
    "sides, scales",
    [((64, 160, 320), (4, 10, 20)), ((32, 384), (2, 24)), ((48, 112, 224, 384), (3, 7, 14, 24))],
)
def test_the_sides_of_squares_are_found(sides, scales):
    assert suggest_scales(squares(sides), len(scales)) == scales
    assert suggest_scales(squares(sides), len(scales), ratios=(1,)) == scales


def test_one_scale_lies_between():
    (scale,) = suggest_scales(squares((100, 140)), 1, ratios=(1,))
    assert 100 / 16 < scale < 140 / 16


def test_scales_too_many_come_near_those_that_serve():
    scales = suggest_scales(squares((64,)), 3, ratios=(1,))
    assert len(set(scales)) == 3 and 4 in scales and min(scales) >= 3 and max(scales) <= 5


def test_ratios_decide_too():
    """Boxes twice as high as wide, 88 x 176 pixels: scale 8 with their ratio, else another."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 400, (30, 2))
    objects = objects_in([(600, 800)] * 30, [[(x, y, x + 88, y + 176)] for x, y in corners])
    assert suggest_scales(objects, 1) == (8,)
    assert suggest_scales(objects, 1, ratios=(1,))[0] in (7, 8, 10)
    assert suggest_scales(objects, 1, ratios=(0.5,)) != (8,)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_no_anchor_is_without_a_place(stride):
    large = [[(0, 0, 400, 300)]] * 10  # the whole image: larger anchors than fit would suit it
    scales = suggest_scales(objects_in([(300, 400)] * 10, large), 3, stride=stride)
    first, last = inside_cells([(300, 400)], base_anchors(scales, base=stride), stride)
    assert (last >= first).all()


def test_portraits_among_landscapes_make_room_for_high_anchors():
    sizes = [(600, 800)] * 8 + [(800, 600)] * 2
    whole = [[(0, 0, w, h)] for h, w in sizes]
    most = suggest_scales(objects_in(sizes, whole), 1)
    only_landscapes = suggest_scales(objects_in(sizes[:8], whole[:8]), 1)
    assert only_landscapes == (24,) and most == (32,)  # 352 x 704 fits a portrait


@pytest.mark.parametrize("small, large, fits", [(7, 3, 300), (3, 7, 600)])
def test_squares_fit_the_typical_image(small, large, fits):
    sizes = [(300, 400)] * small + [(600, 800)] * large
    objects = objects_in(sizes, [[(0, 0, h, h)] for h, _ in sizes])
    assert fits / 2 < 16 * suggest_scales(objects, 2, ratios=(1,))[-1] <= fits


def test_images_with_room_for_few_scales_have_few_and_those_with_none_are_refused():
    assert suggest_scales(objects_in([(24, 24)], [[(0, 0, 20, 20)]]), 9, ratios=(1,)) == (
        0.5, 0.625, 0.75, 0.875, 1,
    )  # fmt: skip
    with pytest.raises(InputError, match="--min-side: the images of by hand have no room"):
        suggest_scales(objects_in([(7, 7)], [[(0, 0, 7, 7)]]))


def random_objects(count, largest, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest, (count, 2))
    boxes = [np.sort(rng.uniform(0, s[::-1], (4, 2, 2)), axis=1).reshape(-1, 4) for s in sizes]
    return objects_in(sizes, boxes)


def test_the_nearest_place_is_the_best_of_all():
    objects, base = random_objects(60, 300), base_anchors((1.5, 2, 4, 8))
    found = best_overlaps(objects, base, 16)
    for n, boxes in enumerate(objects.by_image()):
        anchors, places = numpy_anchors.inside(objects.sizes[n], base)
        iou = numpy_anchors.overlaps(anchors, boxes)
        for a in range(len(base)):
            expected = iou[places[:, 2] == a].max(axis=0, initial=0)
            np.testing.assert_allclose(found[objects.image == n, a], expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_other_choice_is_better(count, seed):
    objects = random_objects(80, 500, seed)
    grid = [s for s in GRID if s <= 20]
    best = best_overlaps(objects, base_anchors(grid), 16).reshape(-1, 3, len(grid)).max(axis=1)
    gain = np.minimum(best, 0.7) + 0.01 * best

    def value(scales):
        return gain[:, [grid.index(s) for s in scales]].max(axis=1).mean()

    chosen = suggest_scales(objects, count)
    assert len(chosen) == count and list(chosen) == sorted(chosen)
    others = [s for s in grid if s <= _largest(objects)]
    highest = max(value(scales) for scales in itertools.combinations(others, count))
    assert value(chosen) == pytest.approx(highest, abs=1e-5)


def _largest(objects):
    """The largest scale with room: the last of as many as the grid has room for."""
    return suggest_scales(objects, len(GRID))[-1]


def test_many_objects_are_thinned_and_give_the_same_each_time(monkeypatch):
    objects = squares((64, 160, 320))
    monkeypatch.setattr("keras_frcnn.batches.anchor_scales.MOST_OBJECTS", 30)
    assert suggest_scales(objects, 3) == suggest_scales(objects, 3) == (4, 10, 20)
