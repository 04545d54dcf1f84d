"""Files of detections in every form, written and read back."""

import json

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.load import load
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco_results import read_coco_results, write_coco_results
from keras_frcnn.evaluation.results import read_detections, write_detections
from keras_frcnn.evaluation.voc_results import write_voc_results
from tests.data.forms import OBJECTS, coco, image, write_json

RECORDS = tuple(ImageRecord(f"{n}.jpg", f"/photos/{n}.jpg", 100, 100) for n in ("a", "x/b", "y/b"))
DATA = Dataset("d", ("cat", "dög"), RECORDS)
FOUND = [
    Detections([[1, 2, 30.5, 40], [0, 0, 99, 99.25]], [0.75, 0.25], [2, 1]),
    Detections([], [], []),
    Detections([[5, 6, 7, 8]], [0.5], [1]),
]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        for name in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize(
    "write, name",
    [
        (write_coco_results, "found.json"),
        (write_detections, "detections.json"),
        (write_voc_results, "voc"),
    ],
)
def test_every_form_is_recognised(write, name, tmp_path):
    write(tmp_path / name, FOUND, DATA)
    found = read_detections(tmp_path / name, DATA)
    assert_same(found, FOUND)
    assert all(d.class_names == DATA.class_names for d in found)


def test_the_table_of_detect(tmp_path):
    """With paths in place of filenames."""
    rows = ["file,class,score,x1,y1,x2,y2", "/photos/y/b.jpg,cat,0.5,5,6,7,8"]
    rows += ["a.jpg,cat,0.25,0,0,99,99.25", "elsewhere/a.jpg,dög,0.75,1,2,30.5,40"]
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n", "utf-8")
    assert_same(read_detections(tmp_path / "d.csv", DATA), FOUND)


def test_entries_of_coco(tmp_path):
    write_coco_results(tmp_path / "r.json", FOUND, DATA)
    first = json.loads((tmp_path / "r.json").read_text())[0]
    assert first == {
        "image_id": 1,
        "category_id": 2,
        "bbox": [1, 2, 29.5, 38],
        "score": 0.75,
        "file_name": "a.jpg",
        "category": "dög",
    }


def test_ids_are_those_of_the_coco_file(tmp_path):
    """Anybody's results know the ids of the annotations only."""
    for number, name in enumerate(OBJECTS):
        image(tmp_path / "photos" / f"{name}.jpg", number)
    write_json(tmp_path / "photos" / "photos.json", coco(OBJECTS))
    data = load(str(tmp_path / "photos"))
    assert [record.coco_id for record in data.images] == [7, 8]
    assert dict(zip(data.class_names, data.category_ids, strict=True)) == {"dog": 3, "cat": 18}
    entries = [
        {"image_id": record.coco_id, "category_id": k, "bbox": [1, 2, 3, 4], "score": 0.5}
        for record in reversed(data.images)
        for k in data.category_ids
    ]
    (tmp_path / "r.json").write_text(json.dumps(entries))
    for found in read_coco_results(tmp_path / "r.json", data):
        assert found.classes.tolist() == list(range(1, len(data.class_names) + 1))
    entries[0] |= {"file_name": "elsewhere/p0.jpg"}  # whose id is that of p1
    (tmp_path / "other.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"entry 0: its image_id is that of 'p1\.jpg', but"):
        read_coco_results(tmp_path / "other.json", data)
    write_coco_results(tmp_path / "own.json", read_detections(tmp_path / "r.json", data), data)
    written = json.loads((tmp_path / "own.json").read_text())
    assert {e["image_id"] for e in written} == {r.coco_id for r in data.images}
    assert {e["category_id"] for e in written} == set(data.category_ids)


ENTRY = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    "content, message",
    [
        ("[", "is no JSON"),
        ("3", "no list of detections"),
        ([3], "entry 0 is 3, not an object"),
        ([ENTRY, ENTRY | {"image_id": 7}], "entry 1: d has no image with the id 7"),
        ([ENTRY | {"image_id": True}], "entry 0: d has no image with the id True"),
        ([ENTRY | {"file_name": "q.jpg"}], "entry 0: d has no image 'q.jpg'"),
        ([ENTRY | {"category_id": 3}], r"category_id is 3; d has 1 \(cat\), 2 \(dög\)"),
        ([ENTRY | {"bbox": [1, 2, 3]}], "bbox is .1, 2, 3., not"),
        ([ENTRY | {"bbox": [1, 2, 3, 1e40]}], "bbox is"),
        ([ENTRY | {"score": None}], "score is None, not a number"),
        ([ENTRY | {"score": 10**400}], "score is 1000"),
        ([ENTRY | {"category": "dög"}], "its category_id is that of 'cat', but its category is"),
        ({"a.jpg": 3}, "a.jpg: is 3, not a list"),
        ({"a.jpg": [3]}, "a.jpg: detection 0 is 3"),
        ({"q.jpg": []}, "d has no image 'q.jpg'"),
        ({"b.jpg": []}, "d has several images 'b.jpg'"),
        ({"a.jpg": [{"class": "cat", "score": 1, "box": [1]}]}, "its box is .1., not"),
        (
            {"a.jpg": [{"class": "cow", "score": 1, "box": [1, 2, 3, 4]}]},
            "class is 'cow', none",
        ),
        ({"a.jpg": [{"class": "cat", "score": "x", "box": [1, 2, 3, 4]}]}, "must be numbers"),
        ({"a.jpg": [{"class": "cat", "score": 1, "box": [1, 2, 3, 10**400]}]}, "must be numbers"),
        ({"a.jpg": [{"class": "cat", "score": True, "box": [1, 2, 3, 4]}]}, "must be numbers"),
    ],
)
def test_what_cannot_be_is_named(content, message, tmp_path):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=f"r.json: .*{message}") as error:
        read_detections(tmp_path / "r.json", DATA)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rows, message",
    [
        ("file,class", "first row must be file,class,score"),
        ("", "first row"),
        ("file,class,score,x1,y1,x2,y2\na.jpg,cat,1,2", "row 2 has 4 columns"),
        ("file,class,score,x1,y1,x2,y2\na.jpg,cat,1,2,3,4,x", "row 2: score and box"),
        ("file,class,score,x1,y1,x2,y2\na.jpg,cat,nan,2,3,4,5", "row 2: score and box"),
    ],
)
def test_rows_that_are_none_are_named(rows, message, tmp_path):
    (tmp_path / "r.csv").write_text(rows)
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path / "r.csv", DATA)


def test_a_missing_file(tmp_path):
    for name in ("r.json", "r.csv"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            read_detections(tmp_path / name, DATA)
