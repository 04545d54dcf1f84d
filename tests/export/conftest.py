"""A small detector of each kind and its export, for all tests of this folder."""

from dataclasses import dataclass
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.export import retries
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN
from keras_frcnn.models.rpn import ProposalOptions
from tests.export.requests import encoded, padded, photograph
from tests.tiny import tiny_trunk

CLASSES = ("cat", "dog", "żółw")
MEANS = (103.939, 116.779, 123.68)
MAX_PIXELS = 12_000_000

# Anchors of 32 to 128 pixels, and fewer proposals than the usual 300.
OPTIONS = ProposalOptions(scales=(2, 4, 8), min_size=4, pre_nms_test=200, test=60)


def small_model(seed=1):
    """With scores far enough apart that some pass the threshold."""
    keras.utils.set_random_seed(seed)
    with tiny_trunk():
        return spread(FastRCNN(list("abc"), "tiny", None, fc_units=(32, 32)))


def small_faster(seed=1):
    """The same of a model that makes its own proposals."""
    keras.utils.set_random_seed(seed)
    with tiny_trunk():
        return spread(FasterRCNN(list("abc"), "tiny", None, OPTIONS, fc_units=(32, 32)))


def spread(model):
    """The model, with scores of classes far apart."""
    head = model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 50)
    return model


@dataclass(frozen=True)
class Case:
    """A detector and its export, asked in the same words whether it takes proposals or not."""

    detector: Detector
    folder: Path
    served: dict

    def given(self, *boxes):
        """Boxes of each image as the input of a signature, if it has one for them."""
        return {"proposals": padded(boxes)} if self.detector.needs_proposals else {}

    def detect(self, image, boxes):
        """What the detector itself says."""
        boxes = (boxes,) if self.detector.needs_proposals else ()
        return self.detector.detect(image, *boxes)


@pytest.fixture(scope="module", autouse=True)
def trunk():
    """The trunk of the detectors, which none of what is exported depends on."""
    with tiny_trunk():
        yield


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


@pytest.fixture(scope="session")
def detector_proposing():
    return ProposingDetector(small_faster(), MEANS, min_side=96, max_side=160)


@pytest.fixture(scope="session")
def exported_proposing(detector_proposing, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "faster"
    return export_saved_model(detector_proposing, folder, CLASSES, max_pixels=MAX_PIXELS)


@pytest.fixture(scope="session")
def served_proposing(exported_proposing):
    return tf.saved_model.load(str(exported_proposing)).signatures


@pytest.fixture(scope="session", params=["", "_proposing"], ids=["fast_rcnn", "faster_rcnn"])
def case(request):
    """Both kinds, one after the other."""
    names = (f"{name}{request.param}" for name in ("detector", "exported", "served"))
    return Case(*map(request.getfixturevalue, names))


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
