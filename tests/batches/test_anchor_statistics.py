"""Counts of anchors and their labels by hand, and the table of docs and specification."""

import numpy as np
import pytest

from keras_frcnn.batches.anchor_statistics import anchor_statistics
from keras_frcnn.batches.scaled_objects import ScaledObjects, scaled_objects
from keras_frcnn.data.load import load
from keras_frcnn.models.anchors import base_anchors
from tests.exactness import numpy_anchors
from tests.shared_data import shared_data


def objects_in(sizes, boxes):
    """A data set of images of these sizes, each with its list of boxes."""
    image = np.repeat(np.arange(len(sizes)), [len(b) for b in boxes])
    names = tuple(f"{i}.jpg" for i in range(len(sizes)))
    boxes = np.float32([box for of_one in boxes for box in of_one]).reshape(-1, 4)
    return ScaledObjects("by hand", names, np.array(sizes, np.int32), boxes, image)


def test_one_object_on_an_anchor():
    # Squares of 64 pixels that begin at 8 and 24, and across also at 40 and 56.
    objects = objects_in([(96, 128)], [[(8, 8, 72, 72)]])
    found = anchor_statistics(objects, base_anchors((4, 8), (1,)), 16)
    assert found.images == 1 and found.inside.tolist() == [2 * 4, 0]
    assert found.positives.tolist() == [1, 0] and found.idle.tolist() == [1]
    assert found.best_iou.tolist() == [1] and found.tied == 0 and found.untouched == 0
    assert found.poor == 0 and found.poor_share == 0 and found.without_anchors == ()
    assert found.positives_per_image == 1


def test_ties_poor_positives_and_objects_beyond_the_anchors():
    boxes = [(0, 0, 128, 96), (90, 90, 98, 96)]  # the image; 8 x 6 pixels at the border
    found = anchor_statistics(objects_in([(96, 128)], [boxes]), base_anchors((2,), (1,)), 16)
    # Squares of 32 pixels at 4 x 6 places: the lowest end at 88.
    assert found.inside.tolist() == [24]
    assert found.positives.tolist() == [24] and found.poor == 24 and found.poor_share == 1
    assert found.tied == 1 and found.untouched == 1
    np.testing.assert_allclose(found.best_iou, [1024 / (96 * 128), 0])
    assert found.reached(0.08) == 0.5 and found.reached(0.5) == 0


def test_images_without_anchors_are_named_once():
    objects = objects_in([(60, 500), (64, 64), (600, 20)], [[(0, 0, 50, 50)]] * 3)
    objects = ScaledObjects(
        objects.name, ("strip.jpg", "b.jpg", "strip.jpg"), objects.sizes, objects.boxes,
        objects.image,
    )  # fmt: skip
    found = anchor_statistics(objects, base_anchors((4,), (1,)), 16)
    assert found.without_anchors == ("strip.jpg", "b.jpg")
    assert found.untouched == 3 and found.positives_per_image == 0 and found.poor_share == 0


def test_random_images_against_numpy():
    rng = np.random.default_rng(0)
    base = base_anchors((2, 4, 8))
    sizes = rng.integers(20, 400, (40, 2))
    boxes = [np.sort(rng.uniform(0, s[::-1], (5, 2, 2)), axis=1).reshape(-1, 4) for s in sizes]
    found = anchor_statistics(objects_in(sizes, boxes), base, 16)
    inside, positives, best, tied, poor = np.zeros(9, int), np.zeros(9, int), [], 0, 0
    for size, objects in zip(sizes, boxes, strict=True):
        anchors, places = numpy_anchors.inside(size, base)
        iou = numpy_anchors.overlaps(anchors, objects)
        labels, _ = numpy_anchors.assign(iou)
        np.add.at(inside, places[:, 2], 1)
        np.add.at(positives, places[labels == 1, 2], 1)
        highest = iou.max(axis=0, initial=0)
        best.append(highest)
        tied += ((iou == highest).sum(axis=0) > 1)[highest > 0].sum()
        poor += (iou.max(axis=1)[labels == 1] < np.float32(0.3)).sum()
    np.testing.assert_array_equal(found.inside, inside)
    np.testing.assert_array_equal(found.positives, positives)
    np.testing.assert_array_equal(found.best_iou, np.concatenate(best))
    assert (found.tied, found.poor) == (tied, poor) and tied and poor


@pytest.mark.parametrize(
    "data, min_side, max_side, scales, half, most, tied, positives, poor",
    [  # the shares of objects are whole percents
        ("voc2007_subset", 600, 1000, (8, 16, 32), 82, 40, 2005, 34.3, 0.092),
        ("voc2007_subset", 480, 800, (8, 16, 32), 60, 26, 2048, 59.0, 0.44),
        ("voc2007_subset", 480, 800, (4, 8, 16), 75, 29, 1819, 59.4, 0.42),
        ("voc2007_subset", 480, 800, (6.4, 12.8, 25.6), 81, 38, 1884, 21.8, 0.091),
        ("voc2007_subset", 480, 800, (4, 8, 16, 24), 91, 42, 1773, 23.6, 0.014),
        ("bccd", 320, 480, (2, 4, 8), 97, 55, 508, 17.8, 0.003),
    ],
)
def test_photographs(data, min_side, max_side, scales, half, most, tied, positives, poor):
    objects = scaled_objects(load(shared_data(data), "trainval"), (min_side,), max_side)
    assert len(objects.boxes) == {"voc2007_subset": 2330, "bccd": 3941}[data]
    found = anchor_statistics(objects, base_anchors(scales), 16)
    assert (round(100 * found.reached(0.5)), round(100 * found.reached(0.7))) == (half, most)
    assert found.tied == tied and not found.untouched and not found.without_anchors
    assert found.positives_per_image == pytest.approx(positives, abs=0.05)
    assert found.poor_share == pytest.approx(poor, abs=0.005)
    assert found.idle.tolist() == ([5] if (min_side, scales) == (480, (8, 16, 32)) else [])
