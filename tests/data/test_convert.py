"""Data sets in another form, with the same boxes bit for bit."""

import json

import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.data import load
from keras_frcnn.data.convert import FORMS, convert_data
from keras_frcnn.errors import InputError
from tests.data.forms import coco, image, write_json
from tests.data.voc_files import voc_folder, xml, xml_object

# Borders, fractions that float32 cannot hold exactly, one next to 0, one over the border.
BOXES = [(1, 1, 80, 60), (1.1, 1.3, 33.3, 44.7), (1.015625, 2, 2.03125, 3.3), (70, 50, 99, 99)]


@pytest.fixture
def photos(tmp_path):
    """Five images, two of the same name, in three splits of which two overlap."""
    objects = [
        xml_object(name, box, f"<difficult>{difficult}</difficult>")
        for name, box, difficult in zip(
            ("Straße/ö", "cat", "a: b", "cat"), BOXES, (0, 1, 0, 1), strict=True
        )
    ]
    root = tmp_path / "my photos"
    for folder in ("JPEGImages", "Annotations"):
        (root / folder / "cam 1").mkdir(parents=True)
    images = {
        "a": xml(*objects),
        "b": xml(),
        "cam 1/a": xml(objects[1], filename="cam 1/a.jpg"),
        "c": xml(objects[0]),
        "zebra": xml(objects[2], objects[2]),
    }
    splits = {"train": ["zebra", "a"], "trainval": ["a", "zebra", "cam 1/a"], "test": ["b"]}
    voc_folder(root, images, splits)
    return root


def check_same(first, second, difficult=True):
    assert first.class_names == second.class_names
    assert len(first.images) == len(second.images)
    for one, other in zip(first.images, second.images, strict=True):
        assert one.filename == other.filename.removeprefix("images/")
        assert one.boxes.tobytes() == other.boxes.tobytes()
        assert one.labels.tolist() == other.labels.tolist()
        assert one.is_difficult.tolist() == other.is_difficult.tolist() or not difficult
        assert (one.height, one.width, one.orientation) == (
            *(other.height, other.width, other.orientation),
        )
        with open(one.path, "rb") as a, open(other.path, "rb") as b:
            assert a.read() == b.read()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("then", FORMS)
def test_there_and_on(photos, tmp_path, form, then):
    written = convert_data(photos, tmp_path / "first", form)
    assert (written.images, written.objects, written.difficult) == (4, 7, 3)
    convert_data(tmp_path / "first", tmp_path / "second", then)
    for split in ("train", "trainval", "test"):
        expected = load(photos, split)
        for folder in ("first", "second"):
            found = load(tmp_path / folder, split, expected.class_names)
            check_same(expected, found, difficult="yolo" not in (form, then))


@pytest.mark.parametrize("form", FORMS)
def test_without_lists(tmp_path, form):
    root = voc_folder(tmp_path / "a", {"p0": xml(xml_object()), "p1": xml(xml_object("dog"))}, {})
    convert_data(root, tmp_path / "b", form)
    check_same(load(root), load(tmp_path / "b"))
    splits = [
        {r.filename.rpartition("/")[2] for r in load(d).images} for d in (root, tmp_path / "b")
    ]
    assert splits[0] == splits[1]


def test_coco_has_the_numbers_of_its_standard(photos, tmp_path):
    convert_data(photos, tmp_path / "coco", "coco")
    content = json.loads((tmp_path / "coco/annotations/instances_trainval.json").read_text())
    assert [c["name"] for c in content["categories"]] == ["Straße/ö", "a: b", "cat"]
    first = content["annotations"][0]
    assert first["bbox"] == [0, 0, 80, 60] and first["area"] == 4800 and first["iscrowd"] == 0
    assert content["annotations"][1]["iscrowd"] == 1
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert len(set(ids)) == len(ids)


def test_photographs_annotated_as_they_are_stored(tmp_path):
    """In YOLO's form nothing tells that EXIF was ignored."""
    root = voc_folder(tmp_path / "a", {"a": xml(xml_object(), size=(60, 80)), "b": xml()})
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(root / "JPEGImages" / "a.jpg")
    photo.resize((60, 80)).save(root / "JPEGImages" / "a.jpg", exif=exif)
    assert load(root, "train").images[0].orientation == 1
    for form in ("voc", "coco"):
        convert_data(root, tmp_path / form, form)
        assert load(tmp_path / form, "train").images[0].orientation == 1
    with pytest.raises(InputError, match=r"a\.jpg: its boxes are of the image as it is stored"):
        convert_data(root, tmp_path / "yolo", "yolo")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "coco", "voc"]


def test_what_a_form_cannot_hold(tmp_path):
    image(tmp_path / "a" / "images" / "p0.jpg")
    content = coco(["p0"])
    content["annotations"][0]["bbox"] = [3, 3, 1, 20]
    write_json(tmp_path / "a" / "annotations" / "instances_train.json", content)
    with pytest.raises(InputError, match=r"p0\.jpg: voc cannot hold its boxes .* a pixel or less"):
        convert_data(tmp_path / "a", tmp_path / "b", "voc")
    convert_data(tmp_path / "a", tmp_path / "b", "yolo")


def test_nothing_is_overwritten_and_nothing_half_written(photos, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    command = ["convert", "--data", str(photos), "--to", str(tmp_path / "full"), "--format", "coco"]
    assert main(command) == 2
    assert "full: is there already; name a new folder" in capsys.readouterr().err
    (photos / "JPEGImages" / "zebra.jpg").write_bytes(b"no image")
    command[4] = str(tmp_path / "new")
    assert main(command) == 2
    assert "zebra.jpg" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_command(photos, tmp_path, capsys):
    to = str(tmp_path / "yolo")
    assert main(["convert", "--data", str(photos), "--to", to, "--format", "yolo"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{to}: 4 images with 7 objects\n"
    assert "3 difficult objects are ordinary ones in YOLO's form" in said.err
