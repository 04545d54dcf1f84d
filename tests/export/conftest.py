"""A small detector and its export, for all tests of this folder."""

import keras
import pytest
import tensorflow as tf

from keras_frcnn.detection.detector import Detector
from keras_frcnn.export import retries
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.models.fast_rcnn import FastRCNN
from tests.export.requests import encoded, photograph

CLASSES = ("cat", "dog", "żółw")
MEANS = (103.939, 116.779, 123.68)
MAX_PIXELS = 12_000_000


def small_model(seed=3):
    """With scores far enough apart that some pass the threshold."""
    keras.utils.set_random_seed(seed)
    model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(32, 32))
    head = model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 30)
    return model


@pytest.fixture(scope="session")
def detector():
    return Detector(small_model(), MEANS, min_side=96, max_side=160)


@pytest.fixture(scope="session")
def exported(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "with space"
    return export_saved_model(detector, folder, CLASSES, max_pixels=MAX_PIXELS)


@pytest.fixture(scope="session")
def served(exported):
    """The signatures of the export, by name."""
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A file of 90 x 120 pixels."""
    path = tmp_path_factory.mktemp("photos") / "a b.png"
    path.write_bytes(encoded(photograph(90, 120)))
    return path


@pytest.fixture
def direct(monkeypatch):
    """No proxy for the sockets of this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def delays(monkeypatch):
    """The seconds that the client would have waited."""
    waited = []
    monkeypatch.setattr(retries.time, "sleep", waited.append)
    return waited
