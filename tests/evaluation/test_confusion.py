"""The confusion matrix, worked by hand."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.confusion import confusion_matrix
from tests.evaluation.test_coco import NOTHING, record

A, B, C, D = [0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40], [300, 0, 340, 40]


def test_worked_by_hand():
    image = record("a", [A, B, C, D], [1, 2, 2, 1], [False, False, False, True])
    data = Dataset("d", ("cat", "dog"), (image, record("b")))
    found = [
        Detections(
            [A, [0, 0, 40, 38], B, [200, 0, 240, 20], D, C],
            [0.9, 0.8, 0.7, 0.6, 0.55, 0.4],
            [1, 2, 1, 2, 2, 2],
        ),
        Detections([A], [0.5], [2]),
    ]
    # The cat; a dog on the cat that is found already; a dog called a cat; a dog missed, since an
    # IoU of 0.5 is not above and 0.4 is below the score; the difficult cat's does not count.
    expected = [[1, 0, 0], [1, 0, 1], [0, 3, 0]]
    assert confusion_matrix(found, data).tolist() == expected
    lower = confusion_matrix(found, data, min_score=0.4).tolist()
    assert lower == [[1, 0, 0], [1, 1, 0], [0, 3, 0]]


def test_an_object_is_taken_by_the_best_whatever_its_class():
    data = Dataset("d", ("cat", "dog"), (record("a", [A], [1]),))
    found = Detections([[0, 0, 40, 30], A], [0.9, 0.8], [2, 1])
    assert confusion_matrix([found], data).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_edges():
    data = Dataset("d", ("cat",), (record("a", [A], [1]),))
    assert confusion_matrix([NOTHING], data).tolist() == [[0, 1], [0, 0]]
    assert not confusion_matrix([], Dataset("d", ("cat",), ())).any()
    with pytest.raises(InputError, match="min_score is 2"):
        confusion_matrix([NOTHING], data, min_score=2)
    with pytest.raises(InputError, match="detections of 0 images"):
        confusion_matrix([], data)
    assert confusion_matrix([NOTHING], data).dtype == np.int64
