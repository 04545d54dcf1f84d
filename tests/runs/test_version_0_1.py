"""Runs and models written by version 0.1, before its modules moved, load and give the same.

`version_0_1/` was made by that version: five steps of a trunk of two convolutions on three drawn
images, validated every two steps, and a model of one's own with a spatial pyramid.
"""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_frcnn.models.convolution import ConvReLU2D
from keras_frcnn.models.layers import LocalResponseNorm
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.runs.directory import load_detector

MADE = Path(__file__).parent / "version_0_1"


@pytest.fixture(autouse=True)
def trunk(monkeypatch):
    """The one the run was trained with."""

    def build(images):
        layers = keras.layers
        x = layers.Conv2D(4, 5, 4, padding="same", activation="relu", name="conv1")(images)
        x = LocalResponseNorm(dtype="float32", name="norm1")(x)
        x = layers.MaxPooling2D(2, name="pool1")(x)
        return ConvReLU2D(6, 3, kernel_initializer="he_normal", name="conv2")(x)

    parts = {"conv1": ("conv1",), "conv2": ("conv2",)}
    trunk = Trunk(build, stride=8, pool_size=(3, 3), fc_units=(8, 8), parts=parts)
    monkeypatch.setitem(TRUNKS, "tiny", trunk)


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(MADE / "run", tmp_path / "run")


def test_detects_what_it_detected(run):
    detector, settings = load_detector(run)
    assert settings.class_names == ("one", "two") and settings.steps == 5
    expected = np.load(MADE / "expected.npz")
    found = detector.detect(expected["image"], expected["proposals"])
    # The machine that made the file may have another processor.
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=0.02)
    np.testing.assert_array_equal(found.classes, expected["classes"])


def test_its_best_model_loads(run):
    detector, _ = load_detector(run, best=True)
    assert detector.model.count_params() > 0
