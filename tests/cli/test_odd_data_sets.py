"""A data set as it should not be, from the reading to the files that an evaluation writes."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from tests.data.voc_files import xml, xml_object

SIZE = (128, 96)
CLASSES = ("..", "a/b", "fire extinguisher")
WRITTEN = ("..", "a/b", "fire\n      extinguisher")
LATIN = os.fsdecode(b"caf\xe9")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sub-folders, a name in Latin-1, classes with bad names, and two images of five without."""
    monkeypatch.setattr("keras_frcnn.proposals.cache.make_cache_folder", lambda _: tmp_path)
    root = tmp_path / "odd"
    names = ["cam1/f0", "cam2/f0", LATIN, "empty", "hard"]
    for i, name in enumerate(names):
        pixels = np.random.default_rng(i).integers(90, 150, (96, 128, 3), np.uint8)
        pixels[20:70, 30:90] = (200, 40, 40)
        objects = [xml_object(WRITTEN[i % 3], (31, 21, 90, 70))]
        if name == "hard":
            objects = [xml_object(WRITTEN[0], (31, 21, 90, 70), "<difficult>1</difficult>")]
        elif name == "empty":
            objects = []
        for part, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
            path = root / part / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
            if suffix == ".jpg":
                Image.fromarray(pixels).save(path)
            else:
                path.write_text(xml(*objects, filename="", size=SIZE))
    (root / "ImageSets/Main").mkdir(parents=True)
    lines = b"\n".join(os.fsencode(f"{name}.jpg") for name in names)
    (root / "ImageSets/Main/train.txt").write_bytes(lines)
    return root


def arguments(folder, run):
    options = (
        "--split train --trunk tiny --fc-units 16,16 --min-side 64 --max-side 100 "
        "--rois-per-image 16 --steps 2 --rate 0.01 --precision float32"
    )
    return ["train", *options.split(), "--data", str(folder), "--out", str(run)]


def test_the_whole_way(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(arguments(folder, run)) == 0
    assert "2 of 5 images have no object to train on" in capsys.readouterr().err
    assert json.loads((run / "config.json").read_text())["class_names"] == list(CLASSES)
    images = ["cam1/f0.jpg", "cam2/f0.jpg", r"caf\xe9.jpg", "empty.jpg", "hard.jpg"]
    assert list(json.loads((run / "data.json").read_text())["images"]) == images

    results = tmp_path / "results"
    options = ["--split", "train", "--voc-results", str(results)]
    assert main(["evaluate", str(run), "--data", str(folder), *options]) == 0
    assert sorted(path.name for path in results.iterdir()) == [
        "comp3_det_test__.txt",
        "comp3_det_test_a_b.txt",
        "comp3_det_test_fire extinguisher.txt",
    ]
    capsys.readouterr()

    image = str(folder / "JPEGImages" / f"{LATIN}.jpg")
    assert main(["detect", str(run), image, "--out", str(tmp_path / "found")]) == 0
    (listed,) = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert listed.endswith(r"caf\xe9.jpg")


def test_what_is_left_out_is_said_before_the_search(folder, tmp_path, monkeypatch, capsys):
    def search(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_frcnn.cli.run_inputs.proposals_of", search)
    main(arguments(folder, tmp_path / "run"))
    error = capsys.readouterr().err
    assert "odd:train: 2 of 5 images have no object to train on" in error


def test_nothing_to_train_on_is_said_before_the_search(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("keras_frcnn.cli.run_inputs.proposals_of", None)
    (folder / "ImageSets/Main/train.txt").write_text("empty\nhard\n")
    assert main(arguments(folder, tmp_path / "run")) != 0
    assert "no image has an object that is not difficult" in capsys.readouterr().err


def test_doubts_about_a_data_set_are_warnings(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("keras_frcnn.cli.run_inputs.proposals_of", None)
    (folder / "Annotations/empty.xml").unlink()
    (folder / "Annotations/hard.xml").unlink()
    (folder / "ImageSets/Main/train.txt").write_text("empty\nhard\n")
    main(arguments(folder, tmp_path / "run"))
    error = capsys.readouterr().err
    assert "warning: " in error and "2 of 2 images have no annotation" in error
