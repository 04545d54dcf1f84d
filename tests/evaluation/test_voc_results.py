"""The devkit's result files, written and read back."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc_results import read_voc_results, write_voc_results

BOX = [10, 10, 50, 50]


def dataset(*names, class_names=("cat", "dog")):
    records = (ImageRecord(f"{name}.jpg", f"{name}.jpg", 100, 100) for name in names)
    return Dataset("d", class_names, tuple(records))


def test_result_files(tmp_path):
    data = dataset("000001", "sub.000002")
    found = [
        Detections([[0, 0, 10, 20], [4.25, 5.5, 6, 7]], [0.5, 0.125], [2, 2]),
        Detections([[1, 2, 3, 4], [0, 0, 100, 100]], [1, 0.25], [1, 2]),
    ]
    for _ in range(2):
        write_voc_results(tmp_path / "results", found, data)
    files = {p.name: p.read_text() for p in (tmp_path / "results").iterdir()}
    assert files == {
        "comp3_det_test_cat.txt": "sub.000002 1.000000 2.00 3.00 3.00 4.00\n",
        "comp3_det_test_dog.txt": (
            "000001 0.500000 1.00 1.00 10.00 20.00\n"
            "000001 0.125000 5.25 6.50 6.00 7.00\n"
            "sub.000002 0.250000 1.00 1.00 100.00 100.00\n"
        ),
    }


def test_result_files_of_any_names(tmp_path):
    """Class names that cannot be file names, and images that differ in their suffix alone."""
    records = [ImageRecord(name, name, 100, 100) for name in ("cam1/a.jpg", "cam1/a.png", "b.jpg")]
    names = ("..", "a/b", "a_b", "x\ty", "z" * 300)
    found = [Detections([BOX], [0.5], [2])] * 3
    write_voc_results(tmp_path, found, Dataset("d", names, tuple(records)))
    files = sorted(path.name.removeprefix("comp3_det_test_") for path in tmp_path.iterdir())
    assert files == ["_.txt", "a_b.txt", "a_b_2.txt", "x_y.txt", "z" * 150 + ".txt"]
    rows = (tmp_path / "comp3_det_test_a_b.txt").read_text().splitlines()
    assert [row.split()[0] for row in rows] == ["cam1/a.jpg", "cam1/a.png", "b"]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.scores, b.scores)
        np.testing.assert_array_equal(a.classes, b.classes)


def test_what_is_written_is_read_back(tmp_path):
    data = dataset("a b", "sub/c.d", "e")
    found = [
        Detections([BOX, [0, 0, 100, 100], [0.5, 0.25, 1, 99.75]], [0.75, 0.5, 0.25], [2, 1, 2]),
        Detections([], [], []),
        Detections([BOX], [0.125], [1]),
    ]
    write_voc_results(tmp_path, found, data)
    assert_same(read_voc_results(tmp_path, data), found)


def test_files_of_other_tools_are_read(tmp_path):
    """Of another challenge and set, unsorted, with extensions; a class without a file."""
    rows = "000002 0.1 1 1 10 20\n\n000001.jpg 9e-1 5 6 6 7\n000002 2 2.5 3 4 4\n"
    (tmp_path / "comp4_det_val_dog.txt").write_text(rows)
    (tmp_path / "notes.txt").write_text("nothing")
    one, two = read_voc_results(tmp_path, dataset("000001", "000002"))
    assert one.boxes.tolist() == [[4, 5, 6, 7]] and one.classes.tolist() == [2]
    assert two.boxes.tolist() == [[1.5, 2, 4, 4], [0, 0, 10, 20]]
    assert two.scores.tolist() == [2, np.float32(0.1)]


@pytest.mark.parametrize(
    "name, rows, message",
    [
        ("comp4_det_test_cow.txt", "", r"cow.txt: the class 'cow' is none of d: cat, dog"),
        ("comp4_det_test_cat.txt", "a 1 2 3 4", r"cat.txt: row 1 is 'a 1 2 3 4', not image score"),
        ("comp4_det_test_cat.txt", "a 1 2 3 4 5\na 1 2 3 4 x", "row 2 is"),
        ("comp4_det_test_cat.txt", "a nan 2 3 4 5", "row 1 is"),
        ("comp4_det_test_cat.txt", "b 1 2 3 4 5", "row 1: d has no image 'b'"),
        ("results.txt", "", "holds no result files"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, name, rows, message):
    (tmp_path / name).write_text(rows)
    with pytest.raises(InputError, match=message):
        read_voc_results(tmp_path, dataset("a"))


def test_two_files_of_a_class_are_refused(tmp_path):
    for challenge in ("comp3", "comp4"):
        (tmp_path / f"{challenge}_det_test_cat.txt").write_text("")
    with pytest.raises(InputError, match=r"comp4.*: comp3_det_test_cat\.txt is of the same class"):
        read_voc_results(tmp_path, dataset("a"))
