"""The commands on detectors that make their own proposals, as a user runs them."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.runs.directory import load_settings
from tests.cli.arguments import error_of, train_arguments

DETECTOR = "--detector faster_rcnn --anchor-scales 4,5 --anchor-ratios 1 --proposal-min-size 4"
FOUR_STEPS = f"{DETECTOR} --alternating true --rpn-steps 2 --rpn-decay-at 1 --proposals-train 50"


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    """Nothing here may look for proposals."""

    def opencv():
        raise AssertionError("a search was started")

    monkeypatch.setattr("keras_frcnn.proposals.find.opencv", opencv)
    monkeypatch.setattr("keras_frcnn.proposals.selective_search.opencv", opencv)


@pytest.fixture(scope="module")
def joint(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "joint"
    arguments = ["train", *train_arguments(voc_folder, run), *DETECTOR.split()]
    assert main([*arguments, "--validate", "test", "--validate-every", "3"]) == 0
    return run


@pytest.fixture(scope="module")
def four(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "four"
    assert main(["train", *train_arguments(voc_folder, run), *FOUR_STEPS.split()]) == 0
    return run


@pytest.fixture(params=["joint", "four"])
def run(request):
    return request.getfixturevalue(request.param)


def test_the_defaults_are_those_of_the_detector(joint, four):
    assert (load_settings(joint).bg_iou_low, load_settings(four).bg_iou_low) == (0, 0)
    fast = load_settings(four / "2-fast-rcnn")
    assert (fast.detector, fast.alternating, fast.rois_per_image) == ("fast_rcnn", False, 16)


def test_the_log_has_four_losses_two_shares_and_the_recall(joint):
    with (joint / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    losses = {"cls_score_loss", "bbox_pred_loss", "rpn_cls_score_loss", "rpn_bbox_pred_loss"}
    assert losses | {"foreground_share", "rpn_foreground_share"} <= row.keys()
    assert float(row["loss"]) == pytest.approx(sum(float(row[name]) for name in losses), rel=1e-5)
    with (joint / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["3", "4"]
    assert all(0 <= float(row["proposal_recall"]) <= 1 for row in rows)


def test_evaluate(run, voc_folder, capsys):
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(run), *data, "--proposals-test", "20"]) == 0
    assert 0 <= json.loads((run / "metrics.json").read_text())["mAP"] <= 1
    assert "mAP" in capsys.readouterr().out


def test_detect_without_a_search(run, voc_folder, tmp_path):
    images = [str(voc_folder / "JPEGImages" / f"{i}.jpg") for i in (4, 5)]
    assert main(["detect", str(run), *images, "--out", str(tmp_path)]) == 0
    listed = json.loads((tmp_path / "detections.json").read_text())
    assert list(listed) == images
    assert Image.open(tmp_path / "4.png").size == (128, 96)


def test_options_about_proposals_are_refused(run, voc_folder, tmp_path, capsys):
    image = voc_folder / "JPEGImages" / "4.jpg"
    data = ["--data", voc_folder, "--split", "test"]
    np.savez(tmp_path / "some.npz")
    for arguments in (
        ["detect", run, image, "--out", tmp_path / "found", "--search", "fast"],
        ["evaluate", run, *data, "--search-side", "400"],
        ["evaluate", run, *data, "--proposals", tmp_path / "some.npz"],
        ["evaluate", run, *data, "--processes", "2"],
    ):
        option = next(a for a in arguments if str(a).startswith(("--search", "--pro")))
        error = error_of(arguments, capsys)
        assert option in error and "makes its own proposals" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "options, message",
    [
        (f"{DETECTOR} --search fast", "--search: faster_rcnn makes its own proposals"),
        (f"{DETECTOR} --proposals a.npz", "proposals: faster_rcnn makes its own"),
        ("--detector fast_rcnn --alternating true", "alternating: is a training of faster_rcnn"),
        ("--detector rpn --finetune-from fc6", "finetune_from: .*the trunk's layers are"),
        ("--detector rpn --validate test", "validation: region proposals alone have no mAP"),
        ("--detector faster_rcnn --anchor-scales 30,40", "--anchor-scales 30,40: .* anchors have"),
        ("--detector faster_rcnn --anchor-scales 3,3", "anchor_scales: must be different numbers"),
        ("--anchor-scales 2,4", "--anchor-scales: fast_rcnn makes no proposals"),
        ("--proposals-test 20", "--proposals-test: fast_rcnn makes no proposals"),
        (f"{DETECTOR} --rpn-steps 2", "--rpn-steps: is of the training in four steps"),
        (f"{FOUR_STEPS} --pre-nms-train 100", "--pre-nms-train: is of joint training"),
        (f"{FOUR_STEPS} --finetune-from fc6", r"finetune_from: .*\(in step 1-rpn\)"),
        (f"{FOUR_STEPS} --finetune-from rpn", r"finetune_from: .*\(in step 2-fast-rcnn\)"),
        (f"{FOUR_STEPS} --devices cpu:0,cpu:1", "devices: "),
    ],
)
def test_what_training_refuses(options, message, voc_folder, cache, tmp_path, capsys):
    weights = ["--weights", "some.h5"] if "finetune" in options else []
    arguments = ["train", *train_arguments(voc_folder, tmp_path / "run")]
    error = error_of([*arguments, *options.split(), *weights], capsys)
    assert error.count("\n") == 1, error
    assert re.search(message, error), error


def test_a_network_of_proposals_alone_detects_nothing(voc_folder, cache, tmp_path, capsys):
    run = tmp_path / "rpn"
    options = DETECTOR.replace("faster_rcnn", "rpn").split()
    assert main(["train", *train_arguments(voc_folder, run), *options]) == 0
    capsys.readouterr()
    data = ["--data", voc_folder, "--split", "test"]
    assert "proposals --from takes its proposals" in error_of(["evaluate", run, *data], capsys)


def test_detectors_of_given_proposals_have_no_number_of_their_own(four, voc_folder, capsys):
    data = ["--data", voc_folder, "--split", "test", "--proposals-test", "20"]
    assert "proposals_test: " in error_of(["evaluate", four / "2-fast-rcnn", *data], capsys)


def test_experiments_vary_fast_rcnn(tmp_path, capsys):
    recipe = "squeezenet-voc07-subset-faster"
    command = ["ablate", "scales", "--recipe", recipe, "--out", tmp_path]
    assert f"--recipe {recipe}: the experiments" in error_of(command, capsys)


def test_four_steps_go_on_and_are_not_repeated(four, voc_folder, capsys):
    arguments = ["train", *train_arguments(voc_folder, four), *FOUR_STEPS.split()]
    assert "already holds a run" in error_of(arguments, capsys)
    before = {p: p.stat().st_mtime_ns for p in four.rglob("*.keras")}
    assert len(before) == 5
    assert main([*arguments, "--resume"]) == 0
    assert before == {p: p.stat().st_mtime_ns for p in four.rglob("*.keras")}
