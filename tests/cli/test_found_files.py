"""Which files `detect` takes, and what it writes of them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.found_files import draw_and_list
from keras_frcnn.cli.image_files import image_files
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.stopwatch import Stopwatch


@pytest.fixture
def photos(tmp_path):
    """Images in a folder, in one below it and in a hidden one, and other files."""
    root = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "day 2/a.jpg", "day 2/[x].jpg", ".trash/c.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "grey").save(root / name)
    (root / "notes.txt").write_text("")
    return root


def names(root, *patterns):
    files = image_files([str(root / pattern) for pattern in patterns])
    return [file.removeprefix(f"{root}/") for file in files]


def test_folders_files_and_patterns(photos):
    everything = ["a.PNG", "b.jpg", "day 2/[x].jpg", "day 2/a.jpg"]
    assert names(photos, "") == everything
    assert names(photos, "day 2", "b.jpg", "day 2/a.jpg") == [*everything[2:], "b.jpg"]
    assert names(photos, "*.jpg") == ["b.jpg"]
    assert names(photos, "**/a*") == ["a.PNG", "day 2/a.jpg"]
    assert names(photos, "*") == ["a.PNG", "b.jpg"]
    # A name that is there is no pattern; one that is not may be told as missing later.
    assert names(photos, "day 2/[x].jpg", "gone.jpg") == ["day 2/[x].jpg", "gone.jpg"]


def test_drawings_are_no_photographs_and_photographs_are_not_drawn_over(photos):
    """Into the folder of the photographs, twice: what it drew before is drawn again."""
    Image.new("RGB", (40, 30), "red").save(photos / "b.png")
    (photos / "c.png").write_bytes(b"no image")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}

    def find(name, image, watch):
        return Detections([[5, 5, 20, 20]], [0.9], [1])

    files = names(photos, "*")
    assert files == ["a.PNG", "b.jpg", "b.png", "c.png"]
    for _ in range(2):
        assert names(photos, "*") == files and names(photos, "")[:4] == files
        draw_and_list([str(photos / file) for file in files], photos, find, 9999, None, 0.5)
    drawn = {path.name for path in photos.glob("*.png")} - {"b.png", "c.png"}
    assert drawn == {"a.png", "b_.png", "b__.png"}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_nothing_that_is_meant(photos):
    with pytest.raises(InputError, match=r"x\*\.jpg': no image file is called so"):
        names(photos, "x*.jpg")
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="empty: the folder holds no images"):
        names(photos, "empty")


def test_lists(photos, tmp_path, capsys):
    boxes = np.float32([[1.5, 2, 30, 20], [0, 0, 10, 10]])

    def find(name, image, watch):
        with watch.stage("detection"):
            count = 2 if name.endswith("b.jpg") else 0
        assert image.shape == (30, 40, 3)
        return Detections(boxes[:count], [0.75, 0.25][:count], [2, 1][:count])

    (photos / "bad.jpg").write_bytes(b"no image")
    files = [str(photos / name) for name in ("a.PNG", "bad.jpg", "b.jpg", "day 2/a.jpg")]
    out = tmp_path / "found"
    assert draw_and_list(files, out, find, 10_000, ("cat", "dog, big"), 0.5) == 1
    listed = json.loads((out / "detections.json").read_text())
    assert list(listed) == [files[0], files[2], files[3]]
    with (out / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(map(float, list(row.values())[2:])) for row in rows] == [
        [0.75, 1.5, 2, 30, 20],
        [0.25, 0, 0, 10, 10],
    ]
    assert [(row["file"], row["class"]) for row in rows] == [
        (files[2], "dog, big"),
        (files[2], "cat"),
    ]
    results = json.loads((out / "detections_coco.json").read_text())
    assert [(r["image_id"], r["category_id"], r["bbox"], r["file_name"]) for r in results] == [
        (2, 2, [1.5, 2, 28.5, 18], files[2]),
        (2, 1, [0, 0, 10, 10], files[2]),
    ]
    assert sorted(p.name for p in out.glob("*.png")) == ["a.png", "a_.png", "b.png"]
    said = capsys.readouterr()
    assert "b.jpg: 1 objects" in said.out and "3 images in" in said.err
    assert "1 of 4 files could not be read" in said.err


def test_what_was_found_before_an_error_is_listed(photos, tmp_path):
    def find(name, image, watch):
        if name.endswith("b.jpg"):
            raise InputError("the server is gone")
        return Detections([], [], [])

    with pytest.raises(InputError, match="the server is gone"):
        draw_and_list([str(photos / "a.PNG"), str(photos / "b.jpg")], tmp_path, find, 9999, None, 0)
    assert list(json.loads((tmp_path / "detections.json").read_text())) == [str(photos / "a.PNG")]


def test_the_first_image_is_told_apart(monkeypatch):
    clock = iter([0.0, 3.0, 10.0, 10.5, 20.0, 20.1, 20.2, 20.3, 30.0, 30.9])
    monkeypatch.setattr("keras_frcnn.evaluation.stopwatch.time.perf_counter", lambda: next(clock))
    watch = Stopwatch()
    assert watch.report() == "no image was finished"
    for stages in (["reading"], ["reading"], ["reading", "reading"]):
        watch.begin()
        for name in stages:
            with watch.stage(name):
                pass
        watch.end()
    watch.begin()
    with watch.stage("reading"):
        pass  # of an image that does not end
    lines = watch.report().split("\n")
    assert lines[0] == "3 images in 3.7 s, the first in 3.0 s; of the others the median:"
    assert lines[1].split() == ["reading", "350.0", "ms"]  # of 500 and 200
