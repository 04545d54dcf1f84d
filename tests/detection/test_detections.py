import json

import numpy as np
import pytest

from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError

FOUND = Detections([[0, 1.5, 2, 3], [4, 5, 6, 7.25]], [0.25, 0.75], [2, 1])


def test_lists_are_converted():
    assert FOUND.boxes.dtype == FOUND.scores.dtype == np.float32
    assert FOUND.classes.dtype == np.int32
    assert len(FOUND) == 2
    assert Detections([], [], []).boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ([[0, 0, 1, 1]], [0.5, 0.5], [1]),
        ([[0, 0, 1, 1]], [0.5], [1, 1]),
        ([0, 0, 1, 1], [0.5], [1]),
        ([[0, 0, 1]], [0.5], [1]),
        ([], [0.5], [1]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(InputError, match="shapes"):
        Detections(*arguments)


def test_above_includes_the_threshold():
    assert FOUND.above(0.5).scores.tolist() == [0.75]
    assert FOUND.above(0.75).classes.tolist() == [1]
    assert len(FOUND.above(0.76)) == 0
    assert FOUND.above(0.76).boxes.shape == (0, 4)


def test_json_names_the_classes():
    listed = json.loads(json.dumps(FOUND.to_json(["cat", "dog"])))
    assert listed == [
        {"class": "dog", "score": 0.25, "box": [0.0, 1.5, 2.0, 3.0]},
        {"class": "cat", "score": 0.75, "box": [4.0, 5.0, 6.0, 7.25]},
    ]
    assert Detections([], [], []).to_json(["cat"]) == []


def test_names_go_along():
    found = Detections(FOUND.boxes, FOUND.scores, [2, 1], ("cat", "dog"))
    assert found.names == ["dog", "cat"]
    assert found.above(0.5).names == ["cat"]
    assert str(found) == "dog 0.25 at 0, 2, 2, 3\ncat 0.75 at 4, 5, 6, 7"
    assert FOUND.names == ["class 2", "class 1"]
