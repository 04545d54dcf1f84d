"""Training runs end to end on a tiny data set: resume, checkpoints and what goes wrong."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.monitoring.csv_log import Log
from keras_frcnn.runs.checkpoints import checkpoint_path, checkpoint_paths
from keras_frcnn.runs.directory import load_detector, load_settings
from keras_frcnn.training.callbacks import StopOnNaN
from keras_frcnn.training.fit import train
from tests.images import random_proposals
from tests.tiny import tiny_dataset, tiny_settings, tiny_trunk

pytestmark = pytest.mark.usefixtures("tiny")

with tiny_trunk():
    SETTINGS = tiny_settings(fc_units=(16, 16), dropout=0.5, steps=4, decay_at=(3,))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("rectangles"))


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    keras.utils.set_random_seed(0)
    model = train(run, ImageSet(dataset, random_proposals(dataset)), SETTINGS)
    return run, model


def go_on(run, dataset, settings):
    return train(run, ImageSet(dataset, random_proposals(dataset)), settings, resume=True)


def test_run_directory_holds_what_the_commands_need(trained):
    run, model = trained
    assert load_settings(run) == SETTINGS
    assert int(model.optimizer.iterations.numpy()) == 4
    header, row = (run / "log.csv").read_text().split()
    logged = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert logged["step"] == 4 and logged["learning_rate"] == pytest.approx(0.001)
    assert logged["loss"] == pytest.approx(
        logged["cls_score_loss"] + logged["bbox_pred_loss"], rel=1e-4
    )


def test_loss_falls(dataset, tmp_path):
    # To 0.55 of what it was; processors differ by far less than the 0.25 that is left.
    settings = tiny_settings(fc_units=(64, 64), steps=300)
    train(tmp_path / "run", ImageSet(dataset, random_proposals(dataset)), settings)
    header, first, _, last = (tmp_path / "run" / "log.csv").read_text().split()
    column = header.split(",").index("loss")
    assert float(last.split(",")[column]) < 0.8 * float(first.split(",")[column])


def test_resumed_run_ends_where_an_uninterrupted_one_does(trained, dataset, tmp_path):
    _, model = trained
    proposals = random_proposals(dataset)
    half = replace(SETTINGS, steps=2)
    train(tmp_path / "run", ImageSet(dataset, proposals), half)
    resumed = train(tmp_path / "run", ImageSet(dataset, proposals), SETTINGS, resume=True)
    for a, b in zip(model.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)
    assert len((tmp_path / "run" / "log.csv").read_text().split()) == 3  # a header, two rows


def test_resuming_a_finished_run_changes_nothing(trained, dataset):
    run, _ = trained
    before = checkpoint_path(run, 4).stat().st_mtime_ns
    go_on(run, dataset, SETTINGS)
    assert checkpoint_path(run, 4).stat().st_mtime_ns == before


def test_resume_refuses_fewer_steps_than_are_done(trained, dataset):
    run, _ = trained
    before = (run / "config.json").read_bytes()
    with pytest.raises(InputError, match="has done 4 steps already"):
        go_on(run, dataset, replace(SETTINGS, steps=3))
    assert (run / "config.json").read_bytes() == before


def test_resume_refuses_other_settings(trained, dataset):
    run, _ = trained
    with pytest.raises(InputError, match=r"rate \(run: 0.01, now: 0.5\)"):
        go_on(run, dataset, replace(SETTINGS, rate=0.5))


def test_a_run_is_not_overwritten(trained, dataset):
    run, _ = trained
    with pytest.raises(InputError, match="--resume"):
        train(run, ImageSet(dataset, random_proposals(dataset)), SETTINGS)


def test_resume_without_a_checkpoint_starts_at_the_beginning(trained, dataset, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text((trained[0] / "config.json").read_text())
    model = go_on(run, dataset, SETTINGS)
    assert int(model.optimizer.iterations.numpy()) == 4


def test_log_forgets_the_steps_that_a_resumed_run_does_again(tmp_path):
    log = Log(tmp_path / "log.csv")
    for step in (100, 200, 300):
        log.on_epoch_end(0, {"step": step, "learning_rate": 0.1, "loss": 1.0, "a_loss": 0.5})
    log.forget_after(200)
    log.on_epoch_end(0, {"step": 300, "learning_rate": 0.1, "loss": 0.25, "a_loss": 0.125})
    assert (tmp_path / "log.csv").read_text().split() == [
        "step,learning_rate,loss,a_loss",
        "100,0.1,1.0,0.5",
        "200,0.1,1.0,0.5",
        "300,0.1,0.25,0.125",
    ]


def test_divergence_stops_before_the_checkpoint(dataset, tmp_path):
    settings = replace(SETTINGS, rate=1e12, steps=50)
    with pytest.raises(InputError, match="diverged"):
        train(tmp_path / "run", ImageSet(dataset, random_proposals(dataset)), settings)
    assert not checkpoint_paths(tmp_path / "run")


def test_nan_guard_names_the_step():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    guard = StopOnNaN(lambda step: [f"{step}.jpg"])
    guard.set_model(model)
    guard.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(InputError, match="step 0"):
        guard.on_train_batch_end(0, {"loss": float("nan")})


def test_detector_of_a_run(trained, dataset):
    detector, _ = load_detector(trained[0])
    assert detector.min_side == 64 and detector.max_side == 100
    image = np.full((60, 70, 3), 120, np.uint8)
    found = detector.detect(image, random_proposals(dataset)[0])
    assert set(found.classes) <= {1, 2}


def test_not_a_run_directory(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_detector(tmp_path)


def test_run_without_checkpoint(trained, tmp_path):
    (tmp_path / "config.json").write_text((trained[0] / "config.json").read_text())
    with pytest.raises(InputError, match="no checkpoint"):
        load_detector(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trunk": "alexnet"}, "trunk"),
        ({"precision": "float16"}, "precision"),
        ({"steps": 0}, "steps"),
        ({"rate": -1.0}, "rate"),
        ({"min_side": (600,)}, "min_side"),
        ({"dropout": 1.0}, "dropout"),
        ({"fc_units": (1024,)}, "fc_units"),
        ({"seed": -1}, "seed"),
        ({"warmup": -5}, "warmup"),
        ({"l2": -1.0}, "l2"),
        ({"weights": "imagenet"}, "tiny"),
    ],
)
def test_impossible_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(SETTINGS, **change)
