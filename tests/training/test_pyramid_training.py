"""Trainings and exports of detectors on a feature pyramid."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.export.client import detections_of
from keras_frcnn.export.saved_model import export_saved_model
from keras_frcnn.models.trunks import LEVELS, TRUNKS, Trunk
from keras_frcnn.runs.directory import load_detector
from keras_frcnn.training.fit import train
from tests.images import random_proposals
from tests.tiny import tiny_dataset, tiny_settings
from tests.training.test_mask_training import with_masks


def taps(images):
    """Four maps; the first has a batch normalisation, which stays as it is."""
    x, found = images, []
    for i in range(5):
        x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name=f"conv{i}")(x)
        if i == 1:
            x = layers.BatchNormalization(name="norm")(x)
        found.append(x)
    return found[1:]


@pytest.fixture(autouse=True)
def trunk(monkeypatch):
    tiny = Trunk(taps, 16, LEVELS, fc_units=(16, 16), rpn_channels=8, mask_channels=8)
    monkeypatch.setitem(TRUNKS, "tiny_fpn", tiny)


def settings_of(detector, **changes):
    # Anchors of 16 pixels at the finest level: images of 64 have none of 32 inside at the rim.
    own = {} if detector == "mask_fast_rcnn" else {"anchor_scales": (4.0,)}
    changes = {"steps": 2, "proposals_train": 50, "proposals_test": 30, **own, **changes}
    return tiny_settings(detector=detector, trunk="tiny_fpn", deterministic=True, **changes)


@pytest.mark.slow  # two or three traces of a training, and an export
@pytest.mark.parametrize("detector", ["faster_rcnn", "mask_rcnn", "mask_fast_rcnn"])
def test_trained_resumed_and_exported(tmp_path, detector):
    dataset = with_masks(tiny_dataset(tmp_path))
    images = ImageSet(dataset, random_proposals(dataset) if "fast_" in detector else None)
    settings = settings_of(detector)
    whole = train(tmp_path / "whole", images, settings, checkpoint_every=1)
    train(tmp_path / "parts", images, settings_of(detector, steps=1), checkpoint_every=1)
    parts = train(tmp_path / "parts", images, settings, resume=True, checkpoint_every=1)
    for ours, theirs in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    norm = whole.get_layer("norm")
    np.testing.assert_array_equal(norm.moving_mean.numpy(), np.zeros(8))
    assert not norm.trainable

    found, _ = load_detector(tmp_path / "whole")
    head = found.model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 60)
    record = dataset.images[0]
    image = read_image(record.path, record.orientation)
    given = [images.proposals[0]] if found.needs_proposals else []
    expected = found.detect(image, *given)
    assert len(expected)
    folder = export_saved_model(found, tmp_path / "models")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    inputs = {"image_bytes": tf.constant([tf.io.read_file(record.path).numpy()])}
    if given:
        inputs["proposals"] = tf.constant(given[0][None])
    answer = {name: value.numpy() for name, value in served(**inputs).items()}
    again = detections_of(answer, record.height, record.width, "the export")
    np.testing.assert_array_equal(again.classes, expected.classes)
    np.testing.assert_allclose(again.boxes, expected.boxes, atol=0.01)
    np.testing.assert_allclose(again.scores, expected.scores, atol=1e-4)
    assert (again.masks is None) == (expected.masks is None)
