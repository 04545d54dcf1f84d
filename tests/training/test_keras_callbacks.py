"""Keras's own callbacks and schedules work with `fit` on a model of this package."""

import csv
import importlib.util

import keras
import numpy as np
import pytest

import keras_frcnn as kf
from tests.images import random_proposals
from tests.tiny import add_trunk, tiny_dataset

STEPS = 2


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Gives a compiled model of the same weights each time, and its batches."""
    add_trunk(monkeypatch)
    photos = tiny_dataset(tmp_path)
    regions = random_proposals(photos)

    def make(rate=0.01):
        keras.utils.set_random_seed(0)
        model = kf.FastRCNN(photos.class_names, "tiny", None, min_side=64, max_side=100)
        model.compile(kf.SGD(rate))
        return model, kf.training_batches(photos, regions, model, rois_per_image=16)

    return make


class Stop(keras.callbacks.Callback):
    """Breaks off in the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_callbacks(make, tmp_path):
    callbacks = keras.callbacks

    def others():
        found = [
            callbacks.LearningRateScheduler(lambda epoch: 0.01 / 2**epoch),
            callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
            callbacks.CSVLogger(tmp_path / "log.csv", append=True),
        ]
        if importlib.util.find_spec("tensorboard"):
            found.append(callbacks.TensorBoard(tmp_path / "tensorboard"))
        return found

    def fit(*more):
        model, batches = make()
        backup = callbacks.BackupAndRestore(tmp_path / "backup")
        options = {"steps_per_epoch": STEPS, "epochs": 3, "verbose": 0}
        model.fit(batches, callbacks=[backup, *others(), *more], **options)
        return model

    with pytest.raises(KeyboardInterrupt):
        fit(Stop())
    model = fit()
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]  # the first is not done again
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.01, 0.005, 0.0025])
    assert {"loss", "cls_score_loss", "bbox_pred_loss"} <= set(rows[0])
    assert int(model.optimizer.iterations.numpy()) == 3 * STEPS
    saved = keras.models.load_model(tmp_path / "3.keras")
    assert saved.class_names == model.class_names
    for a, b in zip(saved.weights, model.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    if importlib.util.find_spec("tensorboard"):
        assert list((tmp_path / "tensorboard").rglob("events.out.*"))


def test_a_schedule_as_rate_goes_into_the_file(make, tmp_path):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.01, 0.0])
    model, batches = make(schedule)
    model.fit(batches, steps_per_epoch=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer._learning_rate, type(schedule))
    assert float(again.optimizer.learning_rate) == 0.0
