"""The pictures and tables of errors."""

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.error_gains import error_gains
from keras_frcnn.evaluation.errors import KINDS, find_errors
from keras_frcnn.inspection.error_tables import class_numbers, class_rows, csv_rows, error_rows
from keras_frcnn.inspection.top_errors import Example, draw_error, draw_top_errors, top_errors
from keras_frcnn.pictures.canvas import class_colour

GROUND = (90, 90, 90)


@pytest.fixture
def case(tmp_path):
    """Two images: a detection of the other class, two on nothing, and two objects missed."""
    records = []
    for name, boxes in (
        ("a.png", [[20, 20, 100, 100]]),
        ("b.png", [[0, 0, 50, 50], [60, 60, 190, 190]]),
    ):
        Image.new("RGB", (200, 200), GROUND).save(tmp_path / name)
        records.append(
            ImageRecord(
                name, str(tmp_path / name), 200, 200,
                boxes=np.float32(boxes),
                labels=np.ones(len(boxes), np.int32),
                is_difficult=np.zeros(len(boxes), bool),
            )
        )  # fmt: skip
    dataset = Dataset("d", ("cat", "dog"), tuple(records))
    detections = [
        Detections([[20, 20, 100, 98], [150, 150, 180, 180]], [0.9, 0.3], [2, 2]),
        Detections([[150, 0, 190, 40]], [0.6], [1]),
    ]
    images = ImageSet(dataset, [np.float32([[20, 20, 100, 100]]), np.float32([[60, 60, 190, 190]])])
    return find_errors(detections, images), detections, dataset


def test_the_worst_come_first(case):
    assert top_errors(*case, "background", 5) == [Example(1, 0, None), Example(0, 1, None)]
    assert top_errors(*case, "background", 1) == [Example(1, 0, None)]
    assert top_errors(*case, "missed", 5) == [Example(1, None, 1), Example(1, None, 0)]
    assert top_errors(*case, "class", 5) == [Example(0, 0, 0)]
    assert top_errors(*case, "duplicate", 5) == []


def test_a_picture_has_object_and_detection(case):
    image = np.full((200, 200, 3), GROUND, np.uint8)
    picture = np.asarray(draw_error(image, Example(0, 0, 0), *case))
    assert (picture[20:98, 20] == class_colour(2)).all(axis=1).any()  # the detection's left side
    white = (picture == 255).all(axis=2)
    assert (
        white[99, 20:100].any() and not white[99, 20:100].all()
    )  # the object's lower side, dashed
    missed = np.asarray(draw_error(image, Example(1, None, 1), *case))
    grey = (missed == class_colour(0)).all(axis=2)
    assert grey[0, :50].all()  # the other object
    assert not (missed == class_colour(1)).all(axis=2).any()


def test_sheets_of_the_kinds_that_there_are(case):
    sheets = dict(draw_top_errors(*case, count=3))
    assert list(sheets) == ["class", "background", "missed"]
    assert sheets["background"].width > sheets["class"].width


def test_tables(case):
    errors, detections, dataset = case
    gains = error_gains(errors, detections, dataset)
    rows = error_rows(errors, gains)
    assert [row["error"] for row in rows] == [*KINDS, "- no proposal"]
    assert [row["count"] for row in rows] == [1, 0, 0, 0, 2, 2, 1]
    numbers = class_numbers(errors, gains, detections, dataset)
    cat, dog = csv_rows(numbers)
    assert (cat["missed"], dog["AP"], dog["background gain"]) == (2, "", "")
    cat, dog = class_rows(numbers)
    assert cat["AP"] == "0.000" and cat["missed"].startswith("2 (")
    assert dog["AP"] == "-" and dog["name"] == "dog" and dog["background"] == "1 (-)"
