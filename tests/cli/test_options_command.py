"""`keras-frcnn options`, and the options of other commands."""

import csv

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.runs.directory import load_detector
from tests.cli.arguments import error_of, train_arguments

DETECTOR = "--detector faster_rcnn --anchor-scales 4,5 --anchor-ratios 1 --proposal-min-size 4"


@pytest.fixture(scope="module")
def proposing(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "faster"
    more = [*DETECTOR.split(), "--proposals-test", "60"]
    assert main(["train", *train_arguments(voc_folder, run), *more]) == 0
    return run


def test_every_variant_has_a_row(proposing, voc_folder, tmp_path, capsys):
    run = proposing
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["options", str(run), *data, "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "options.csv").open() as file:
        rows = {row["test"]: row for row in csv.DictReader(file)}
    assert next(iter(rows)) == "as trained" and rows["as trained"]["times as long"] == "1.00"
    assert {"50 proposals", "mirrored too", "scales 51, 64, 80"} <= rows.keys()
    assert main(["evaluate", str(run), *data]) == 0
    plain = f"{float(rows['as trained']['mAP (VOC)']):.4f}"
    assert plain in capsys.readouterr().out
    assert main(["evaluate", str(run), *data, "--flip"]) == 0
    assert f"{float(rows['mirrored too']['mAP (VOC)']):.4f}" in capsys.readouterr().out
    assert Image.open(tmp_path / "out" / "options.png").width > 500


def test_detect_has_them_too(run, voc_folder, tmp_path):
    image = str(voc_folder / "JPEGImages" / "4.jpg")
    wanted = ["--test-scales", "48,64", "--soft-nms", "0.5", "--no-box-regression"]
    assert main(["detect", str(run), image, "--out", str(tmp_path), *wanted]) == 0
    assert (tmp_path / "4.png").is_file()


def test_a_run_is_loaded_with_them(run):
    from keras_frcnn.detection.test_time import TestOptions, TestTimeDetector

    detector, _ = load_detector(run, options=TestOptions(flip=True))
    assert isinstance(detector, TestTimeDetector) and detector.options.flip
    assert len(detector.detect(np.zeros((20, 20, 3), np.uint8), np.zeros((0, 4)))) == 0


@pytest.mark.parametrize(
    "options, message",
    [
        ("--nms-iou 2", "--nms-iou: must be from 0 to 1"),
        ("--soft-nms -1", "--soft-nms: must be above 0"),
        ("--test-scales 0", "--test-scales: must be whole"),
    ],
)
def test_values_that_cannot_be(options, message, run, voc_folder, tmp_path, capsys):
    command = ["evaluate", run, "--data", voc_folder, "--split", "test", *options.split()]
    assert message in error_of(command, capsys)
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--test-scales", "a"])


def test_they_belong_to_a_run(voc_folder, tmp_path, capsys):
    command = ["evaluate", "--detections", "d.json", "--data", voc_folder, "--no-box-regression"]
    assert "--no-box-regression: belongs to a run" in error_of(command, capsys)
