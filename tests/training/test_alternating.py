"""The four steps: what each starts from, what it leaves alone, and runs that are killed."""

import shutil
import time

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import RPN
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.runs.checkpoints import (
    checkpoint_path,
    checkpoint_paths,
    is_whole,
    read_checkpoint,
)
from keras_frcnn.runs.directory import load_checkpoint, load_detector, load_settings
from keras_frcnn.training.alternating import STEPS, step_settings, train_alternating
from keras_frcnn.training.build import build_and_compile, seeded
from tests import runner
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

TRUNK = ("conv1", "conv2")
HEADS = ("fc6", "fc7", "cls_score", "bbox_deltas")


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return ImageSet(tiny_dataset(tmp_path_factory.mktemp("images")))


def settings_of(**changes):
    return tiny_settings(
        **{
            "detector": "faster_rcnn",
            "alternating": True,
            "anchor_scales": (4, 5),
            "anchor_ratios": (1,),
            "proposal_min_size": 2,
            "proposals_train": 40,
            "proposals_test": 20,
            "rpn_steps": 3,
            "rpn_decay_at": (2,),
            "steps": 4,
            "l2": 0.01,  # decay moves even what has no gradient, unless it is frozen
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    with pytest.MonkeyPatch.context() as patch:
        add_trunk(patch)
        run = tmp_path_factory.mktemp("runs") / "run"
        train_alternating(run, data, settings_of(), ValidationSet(data), checkpoint_every=2)
        return run


def weights(folder, layers=None):
    """Arrays by layer and place, of all layers or of some."""
    model = load_checkpoint(folder, load_settings(folder))
    return {
        (layer.name, i): value
        for layer in model.layers
        for i, value in enumerate(layer.get_weights())
        if layers is None or layer.name in layers
    }


def assert_equal(a, b):
    assert a.keys() == b.keys() and a
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], str(key))


def assert_all_differ(a, b):
    assert a.keys() == b.keys() and a
    assert not [key for key in a if np.array_equal(a[key], b[key])]


def test_the_trunk_stays_from_step_2_on(run):
    second = weights(run / "2-fast-rcnn", TRUNK)
    for folder in (run / "3-rpn", run / "4-fast-rcnn", run):
        assert_equal(weights(folder, TRUNK), second)


def test_steps_3_and_4_train_what_is_theirs(run):
    assert_all_differ(weights(run / "4-fast-rcnn", HEADS), weights(run / "2-fast-rcnn", HEADS))
    assert_all_differ(weights(run / "3-rpn", RPN), weights(run / "1-rpn", RPN))
    assert_equal(weights(run, RPN), weights(run / "3-rpn", RPN))
    assert_equal(weights(run, HEADS), weights(run / "4-fast-rcnn", HEADS))


def test_step_2_does_not_start_from_step_1(run, data):
    """A second step of no rate at all keeps the weights that it started from."""
    settings = step_settings(run, "2-fast-rcnn", load_settings(run))
    proposals = ImageSet(data.dataset, [np.float32([[0, 0, 30, 30]])] * len(data.dataset.images))
    with seeded(settings.seed):
        start = build_and_compile(proposals, settings)
    with seeded(settings.seed):
        first = build_and_compile(data, step_settings(run, "1-rpn", load_settings(run)))
    for name in TRUNK:
        for a, b in zip(
            start.get_layer(name).get_weights(), first.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    trained = weights(run / "1-rpn", TRUNK)
    kernels = [key for key in trained if key[1] == 0]
    assert len(kernels) == len(TRUNK)
    for name, i in kernels:
        assert not np.array_equal(start.get_layer(name).get_weights()[i], trained[name, i])


def test_the_assembled_model_is_step_4_on_the_proposals_of_step_3(run, data):
    detector, settings = load_detector(run)
    fourth = load_settings(run / "4-fast-rcnn")
    model = load_checkpoint(run / "4-fast-rcnn", fourth)
    fast = Detector(model, max_detections=fourth.max_detections)
    for record in data.dataset.images:
        image = read_image(record.path, record.orientation)
        found, proposals = detector.examine(image)
        expected = fast.detect(image, proposals)
        assert len(found) == len(expected) > 0 and len(proposals) <= settings.proposals_test
        np.testing.assert_array_equal(found.classes, expected.classes)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.1)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_the_finished_detector_is_validated(run):
    rows = (run / "validation.csv").read_text().splitlines()
    assert rows[0].startswith("step,mAP") and [row.split(",")[0] for row in rows[1:]] == ["4"]
    assert (run / "best.keras").is_file()


def test_what_is_finished_is_not_trained_again(run, data, tmp_path):
    """Without the assembled model it is assembled; without the last step that is trained."""
    copy = tmp_path / "moved"
    shutil.copytree(run, copy)
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.keras")}
    last = checkpoint_path(copy, 4)
    expected = weights(copy)
    last.unlink()
    train_alternating(copy, data, settings_of(), resume=True)
    assert_equal(weights(copy), expected)
    changed = {p for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {last}


def test_other_settings_are_refused(run, data):
    for change in ({"rate": 0.5}, {"steps": 5}, {"rpn_steps": 5}):
        with pytest.raises(InputError, match=next(iter(change))):
            train_alternating(run, data, settings_of(**change), resume=True)
    with pytest.raises(InputError, match="already holds a run"):
        train_alternating(run, data, settings_of())


@pytest.mark.parametrize(
    "kills", [2, pytest.param(5, marks=pytest.mark.slow)], ids=["twice", "five times"]
)
def test_killed_runs_end_with_the_same_bits(data, tmp_path, kills):
    settings = settings_of(
        dropout=0.5, rpn_steps=12, steps=12, rpn_decay_at=(8,), decay_at=(8,), deterministic=True
    )
    options = {"four_steps": True, "checkpoint_every": 4}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = runner.start(whole, data, settings, **options)
    rng = np.random.default_rng()
    points = []
    for _ in range(kills):
        process, steps = runner.start(
            killed, data, settings, resume=(killed / "config.json").exists(), **options
        )
        seen = []
        # Steps are counted anew in each of the four; between two of them the proposals are made.
        for _ in range(rng.integers(1, 20)):
            try:
                seen.append(steps.recv())
            except EOFError:
                break
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.join()
        points.append(seen)
    runner.finish(
        *runner.start(killed, data, settings, resume=(killed / "config.json").exists(), **options)
    )
    assert len(runner.finish(*uninterrupted)) == 48
    for step in STEPS:
        path = checkpoint_paths(whole / step)[0]
        expected, found = (
            {v.path: v.numpy() for v in read_checkpoint(p).weights}
            for p in (path, killed / step / path.relative_to(whole / step))
        )
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], f"{name}: {points}")
    assert_equal(weights(killed), weights(whole))


def test_a_damaged_end_of_a_step_is_trained_again(run, data, tmp_path):
    """From the checkpoint before, and not passed over for it."""
    copy = tmp_path / "moved"
    shutil.copytree(run, copy)
    expected = weights(copy)
    for path in (checkpoint_path(copy, 4), checkpoint_path(copy / "4-fast-rcnn", 4)):
        path.write_bytes(path.read_bytes()[:-100])
    train_alternating(copy, data, settings_of(), resume=True)
    assert all(map(is_whole, checkpoint_paths(copy / "4-fast-rcnn")))
    found = weights(copy)
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], 1e-5, 1e-6)
