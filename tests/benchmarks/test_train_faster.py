"""That joint training, and that of region proposals alone, are measured beside Fast R-CNN's."""

import dataclasses

import pytest

from keras_frcnn.benchmarks import train_faster, train_keras, train_turns
from keras_frcnn.benchmarks.train_faster import FAST, FROZEN, JOINT, Result
from keras_frcnn.benchmarks.train_stages import REST, STAGES
from keras_frcnn.training.build import build_and_compile
from tests.tiny import tiny_dataset


def small(detector):
    settings = train_keras.recipe_settings("float32", detector, "squeezenet-voc07-subset")
    return dataclasses.replace(
        settings, fc_units=(8, 8), min_side=(64,), max_side=100, anchor_scales=(1.0, 2.0)
    )


def test_recipe_is_of_joint_training():
    settings = train_keras.recipe_settings("float32", "faster_rcnn")
    assert (settings.rois_per_image, settings.bg_iou_low) == (128, 0)
    assert (settings.pre_nms_train, settings.proposals_train) == (12_000, 2000)


def test_steps_memory_and_stages(monkeypatch):
    monkeypatch.setattr(train_turns, "WARMUP", 1)
    monkeypatch.setattr(train_turns, "PROFILED", 1)
    programs = train_faster.programs(small("fast_rcnn"), small("faster_rcnn"), (64, 80), 1)
    result = train_faster.measure(programs, rounds=2)
    assert {name: len(steps) for name, steps in result.steps.items()} == dict.fromkeys(
        (FAST, JOINT, FROZEN), 2
    )
    assert all(10**8 < peak < 10**10 for peak in result.peaks.values())
    for stage in STAGES:
        assert result.stages[stage] > 0, stage
    assert 0 < result.proposals() < 1


def test_the_trunk_is_frozen_and_nothing_else(tmp_path):
    settings = dataclasses.replace(small("rpn"), class_names=("one", "two"))
    model = build_and_compile(tiny_dataset(tmp_path), settings)
    train_keras.freeze(model, settings, "rpn")
    trained = {layer.name for layer in model.layers if layer.trainable_weights}
    assert trained == {"rpn_conv", "rpn_cls_score", "rpn_bbox_deltas"}


def test_tables():
    steps = {FAST: [(2.0, 4.0)], JOINT: [(2.4, 5.0)], FROZEN: [(0.7, 1.0), (0.9, 2.0)]}
    stages = dict.fromkeys([*STAGES, REST], 0.0) | {"proposals": 0.1, "trunk forward": 1.9}
    result = Result(steps, {FAST: 2e9, JOINT: 3e9, FROZEN: 1e9}, stages)
    rows = train_faster.format_aims({"float32": result}).splitlines()
    assert rows[2:] == [
        "| joint step / step of Fast R-CNN | 1.200 | 1.35 |  |",
        "| share of making proposals in it | 0.050 | 0.15 |  |",
        "| peak memory, joint / Fast R-CNN | 1.500 | 1.25 |  |",
        "| step of region proposals on a frozen trunk / step of Fast R-CNN | 0.400 |  | 0.4 |",
    ]
    text = train_faster.describe({"float32": result})
    assert "| float32 | joint | 2.40 | 5.00 | 1.20 | 3000 |" in text
    assert "| proposals | 0.100 s (5.0%) |" in text
    assert "RoI pooling" not in text  # takes no time in any column


@pytest.mark.parametrize("detector", ["fast_rcnn", "faster_rcnn"])
def test_the_detector_is_chosen_on_the_command_line(monkeypatch, tmp_path, detector):
    from keras_frcnn.benchmarks import train

    for module, name in ((train, "fast_rcnn"), (train_faster, "faster_rcnn")):
        monkeypatch.setattr(module, "compare", lambda *a, name=name: f"{name} {a[1:]}")
    out = tmp_path / "out.md"
    options = ["--threads", "1", "--rounds", "2", "--out", str(out)]
    assert train.main([*options, "--detector", detector]) == 0
    assert f"{detector} (1, 2)" in out.read_text()
