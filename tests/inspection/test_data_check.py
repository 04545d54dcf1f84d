"""`keras-frcnn check`."""

import shutil

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.inspection.data_check import check_data
from keras_frcnn.inspection.data_faults import (
    duplicated_boxes,
    misspelled_classes,
    quick_warnings,
    tiny_objects,
)
from keras_frcnn.inspection.data_page import draw_check, format_check
from tests.data.voc_files import voc_folder, xml, xml_object


def record(boxes, labels=None, size=(100, 200), difficult=None):
    boxes = np.float32(boxes).reshape(-1, 4)
    labels = np.ones(len(boxes), np.int32) if labels is None else np.int32(labels)
    difficult = np.zeros(len(boxes), bool) if difficult is None else np.array(difficult)
    return ImageRecord("a.jpg", "a.jpg", *size, 1, boxes, labels, difficult)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("helmet", "helmat"), ["helmat (0) and helmet (0)"]),
        (("Fire Truck", "fire_truck", "cat"), ["Fire Truck (0) and fire_truck (0)"]),
        (("apple", "apples"), ["apple (0) and apples (0)"]),
        (("cat", "car"), []),
        (("person1", "person2", "person 3"), []),
        (("motorbike", "bicycle", "bus", "boat", "bottle"), []),
    ],
)
def test_class_names_that_may_be_one(names, pairs):
    assert misspelled_classes(Dataset("d", names, ())) == pairs


def test_the_rarer_of_two_names_comes_first():
    images = (record([[0, 0, 9, 9]] * 3, [1, 2, 1]),)
    assert misspelled_classes(Dataset("d", ("helmet", "helmat"), images)) == [
        "helmat (1) and helmet (2)"
    ]


def test_objects_annotated_twice():
    boxes = [[0, 0, 100, 100], [0, 0, 100, 95], [0, 0, 100, 94], [0, 0, 100, 100]]
    found = duplicated_boxes([record(boxes, [1, 1, 1, 2])])
    # IoU 0.95 is one, 0.94 is not; 95 and 94 have 0.989; another class is none.
    assert found == ["a.jpg: object 2 and 1", "a.jpg: object 3 and 2"]


def test_tiny_objects():
    # 100 x 200 becomes 500 x 1000: five times as large, so that 16 pixels are 3.2.
    boxes = [[0, 0, 3.2, 3.2], [0, 0, 3.1, 3.2], [0, 0, 1, 11], [0, 0, 1, 1]]
    found = tiny_objects([record(boxes, difficult=[0, 0, 0, 1])], 600, 1000)
    assert found == ["a.jpg: object 2, 16 pixels"]
    assert len(tiny_objects([record(boxes)], 100, 1000)) == 4


def test_what_a_training_says_first():
    images = (record([[0, 0, 50, 50]] * 3 + [[0, 0, 2, 2]], [1, 2, 1, 1]),)
    dataset = Dataset("d", ("helmet", "helmat"), images)
    assert quick_warnings(dataset, 600, 1000) == [
        "d: pairs of class names that may be one: 1 (helmat (1) and helmet (3))",
        "d: objects annotated twice: 1 (a.jpg: object 3 and 1)",
        "d: objects smaller than a cell of the feature map at 600 / 1000 pixels: 1 (a.jpg: "
        "object 4, 10 pixels)",
    ]
    assert quick_warnings(Dataset("d", ("cat",), images[:0]), 600, 1000) == []


@pytest.fixture
def faulty(tmp_path):
    twice = xml(xml_object("helmet"), xml_object("helmet"))
    images = {
        "a": twice,
        "b": xml(xml_object("helmat", (5, 5, 5, 9)), xml_object("helmat")),
        "c": xml(),
        "d": xml(xml_object("helmet", difficult="<difficult>1</difficult>")),
    }
    splits = {"train": ["a", "b"], "test": ["c", "d"], "val": ["c"]}
    root = voc_folder(tmp_path / "photos", images, splits)
    shutil.copy(root / "JPEGImages" / "a.jpg", root / "JPEGImages" / "d.jpg")
    return root


def kinds(check):
    return {finding.kind: finding for finding in check.findings}


def test_what_is_found(faulty):
    check = check_data(faulty)
    assert (check.form, check.class_names) == ("Pascal VOC", ("helmat", "helmet"))
    assert [(n, len(d.images)) for n, d in check.splits.items()] == [
        *(("train", 2), ("val", 1), ("test", 2)),
    ]
    found = kinds(check)
    assert "object 1 (helmat): skipped" in found["boxes left out or doubtful files"].examples[0]
    assert found["objects annotated twice"].examples == ("a.jpg: object 2 and 1",)
    assert found["pairs of class names that may be one"].examples == ("helmat (1) and helmet (3)",)
    assert found["images without objects"].examples == ("c.jpg",)
    # c is listed twice, d is a copy of a.
    assert found["images in two splits"].count == 2
    assert "test: d.jpg, train: a.jpg" in found["images in two splits"].examples
    assert not check.is_refused
    page = format_check(check)
    assert page.startswith(f"{faulty}: Pascal VOC\n") and page.endswith("stops a training")
    assert draw_check(check).width > 3 * 80  # c has no objects


def test_unreadable_images_are_all_found(faulty):
    """Also those whose header is right."""
    path = faulty / "JPEGImages" / "a.jpg"
    path.write_bytes(path.read_bytes()[:700])
    (faulty / "JPEGImages" / "d.jpg").write_bytes(path.read_bytes())
    check = check_data(faulty)
    found = kinds(check)["unreadable images"]
    assert found.count == 2 and found.is_refused and check.is_refused
    assert str(path) in found.examples[0]


def test_every_split_that_cannot_be_loaded_is_told(faulty):
    (faulty / "ImageSets" / "Main" / "val.txt").write_text("missing\n")
    (faulty / "Annotations" / "c.xml").write_text("<annotation>")
    check = check_data(faulty)
    assert check.is_refused and not check.splits
    said = " ".join(e for finding in check.findings for e in finding.examples)
    assert "c.xml: malformed XML" in said


def test_no_data_set(tmp_path):
    check = check_data(tmp_path)
    assert check.is_refused and "no data set in a form that is known" in format_check(check)
    assert draw_check(check) is None


def test_nothing_to_train_on(tmp_path):
    hard = xml(xml_object(difficult="<difficult>1</difficult>"))
    root = voc_folder(tmp_path, {"a": hard, "b": xml()})
    assert "splits with nothing to train on" in kinds(check_data(root))


def test_what_proposals_reach(faulty):
    """The objects of `a` lie at (10, 20, 30, 40), and of `b` one."""

    def search(dataset):
        near, far = np.float32([[10, 20, 30, 31]]), np.float32([[40, 40, 60, 60]])
        return [near if r.filename == "a.jpg" else far for r in dataset.images]

    check = check_data(faulty, search=search)
    assert check.searched == 2 and check.reached == pytest.approx(2 / 3)
    assert check.reached_of.tolist() == [0, 1]
    assert "reach 66.7% of the objects at IoU 0.5 (in 2 images)" in format_check(check)
    assert check_data(faulty, search=search, search_images=1).searched == 1


def test_command(faulty, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    command = ["check", "--data", str(faulty), "--images", "0", "--out", str(sheet)]
    assert main(command) == 0
    assert "none of this stops a training" in capsys.readouterr().out
    assert Image.open(sheet).width > 3 * 80
    (faulty / "JPEGImages" / "a.jpg").write_bytes(b"")
    assert main(command) == 1
    assert "REFUSED" in capsys.readouterr().out


def test_splits_by_content(tmp_path):
    root = voc_folder(tmp_path, {name: xml(xml_object()) for name in "abcdef"}, {})
    check = check_data(root)
    assert list(check.splits) == ["all"] and not check.is_refused
    (note,) = check.notes
    assert "divided 80/10/10 by the content" in note and note in format_check(check)
