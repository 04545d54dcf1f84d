"""Pictures of precision-recall curves, against the areas they stand for."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.pictures.curves import SIZE, draw_precision_recall


def evaluation(found, objects, class_names=("cat",), labels=None):
    """Of `objects` boxes in one image, and detections that are right where `found` is true."""
    boxes = [[20 * i, 0, 20 * i + 10, 10] for i in range(objects)]
    labels = [1] * objects if labels is None else labels
    record = ImageRecord(
        "a", "a", 100, 100,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int32),
        is_difficult=np.zeros(objects, bool),
    )  # fmt: skip
    right = iter(boxes)
    guesses = [next(right) if ok else [0, 60, 10, 70] for ok in found]
    scores = np.linspace(0.9, 0.1, len(found))
    detections = Detections(guesses, scores, [1] * len(found))
    return evaluate([detections], Dataset("d", tuple(class_names), (record,)))


def shaded_share(image):
    """The shaded part of the panel's axes, whose grid lines and curve are drawn over it."""
    pixels = np.asarray(image.crop((12, 12, 12 + SIZE, 12 + SIZE))).astype(int)
    is_area = np.abs(pixels - [214, 232, 243]).sum(axis=2) < 12
    is_white = pixels.min(axis=2) > 250
    inside = np.zeros_like(is_area)
    inside[int(0.13 * SIZE) : int(0.84 * SIZE), int(0.16 * SIZE) : int(0.95 * SIZE)] = True
    return (is_area & inside).sum() / ((is_area | is_white) & inside).sum()


@pytest.mark.parametrize(
    "found, objects",
    [([1, 0, 1, 1, 0], 4), ([1, 1], 2), ([0, 0, 1], 2), ([0, 1, 0, 1, 1, 1], 5), ([], 3)],
)
def test_the_shaded_area_is_the_average_precision(found, objects):
    result = evaluation(found, objects)
    image = draw_precision_recall(result)
    assert shaded_share(image) == pytest.approx(result.ap[0], abs=0.03)


def test_a_panel_for_each_class_with_objects():
    names = ("cat", "dog", "no objects", "a class with an exceedingly long name, longer than that")
    result = evaluation([1, 0], 3, names, labels=[1, 2, 4])
    gap = SIZE // 40
    image = draw_precision_recall(result, columns=2)
    assert image.size == (2 * (SIZE + gap) + gap, 2 * (SIZE + gap) + gap)


def test_no_class_with_objects():
    assert draw_precision_recall(evaluation([0], 0)).size[0] > 0
