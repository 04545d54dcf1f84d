"""What is refused before anything is trained, where detector, data and proposals do not fit."""

import dataclasses

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN, RegionProposalNetwork
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.runs.directory import save_settings
from keras_frcnn.training.alternating import train_alternating
from keras_frcnn.training.fit import train
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

NAMES = ("one", "two")


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture
def alone(tmp_path):
    return ImageSet(tiny_dataset(tmp_path))


@pytest.fixture
def proposed(alone):
    return ImageSet(alone.dataset, [np.float32([[0, 0, 30, 30]])] * len(alone.dataset.images))


def test_validation_has_proposals_where_the_detector_needs_them(alone, proposed, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(InputError, match="validation: proposals: fast_rcnn needs some"):
        train(run, proposed, tiny_settings(), ValidationSet(alone))
    for function, is_alternating in ((train, False), (train_alternating, True)):
        settings = tiny_settings(detector="faster_rcnn", alternating=is_alternating)
        with pytest.raises(InputError, match="validation: proposals: faster_rcnn makes its own"):
            function(run, alone, settings, ValidationSet(proposed))
    assert not run.exists()


def test_evaluation_has_proposals_where_the_detector_needs_them(alone, proposed):
    with pytest.raises(InputError, match="proposals: the detector needs some"):
        evaluate_detector(Detector(FastRCNN(NAMES, "tiny", None)), alone)
    with pytest.raises(InputError, match="proposals: the detector makes its own"):
        evaluate_detector(ProposingDetector(FasterRCNN(NAMES, "tiny", None)), proposed)


@pytest.mark.parametrize(
    "build, kind, message",
    [
        (FasterRCNN, Detector, "is faster_rcnn, not fast_rcnn; use ProposingDetector"),
        (RegionProposalNetwork, Detector, "is rpn, not fast_rcnn; alone it detects nothing"),
        (RegionProposalNetwork, ProposingDetector, "is rpn, not faster_rcnn; alone it"),
        (FastRCNN, ProposingDetector, "is fast_rcnn, not faster_rcnn; use Detector"),
    ],
)
def test_detectors_of_other_models(build, kind, message):
    with pytest.raises(InputError, match=message):
        kind(build(NAMES, "tiny", None))


def test_options_of_other_anchors():
    """They would move the anchors of another network."""
    model = FasterRCNN(NAMES, "tiny", None, ProposalOptions(scales=(2, 4)))
    with pytest.raises(InputError, match=r"options: the anchors of .* have scales \(2, 4\)"):
        ProposingDetector(model, options=ProposalOptions(test=100))
    options = dataclasses.replace(model.options, test=7)
    assert ProposingDetector(model, options=options).proposer.layer.post_nms == 7


def test_what_a_killed_assembly_left_is_removed(alone, tmp_path):
    """Before the first step, whose anchors have nothing to learn from."""
    run = tmp_path / "run"
    settings = tiny_settings(detector="faster_rcnn", alternating=True, anchor_scales=(30,))
    (run / "checkpoints").mkdir(parents=True)
    save_settings(run, settings)
    left = run / "checkpoints" / ".00000004-a.partial.keras"
    left.touch()
    with pytest.raises(InputError, match="--anchor-scales 30"):
        train_alternating(run, alone, settings, resume=True)
    assert not left.exists()
