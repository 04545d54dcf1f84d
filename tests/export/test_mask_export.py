"""Exports of Mask R-CNN: what the stock graph answers, and what the client makes of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn import run_length
from keras_frcnn.data.images import open_image
from keras_frcnn.detection.masking import MaskDetector, ProposingMaskDetector
from keras_frcnn.errors import InputError
from keras_frcnn.export.client import detections_of
from keras_frcnn.export.saved_model import export_saved_model
from tests.detection.test_masking import OPTIONS, PROPOSALS, spread
from tests.export.requests import encoded, photograph
from tests.tiny import tiny_trunk


@pytest.fixture(scope="module", params=["mask_fast_rcnn", "mask_rcnn"])
def case(request, tmp_path_factory):
    from keras_frcnn.models.mask_rcnn import MaskFastRCNN, MaskRCNN

    keras.utils.set_random_seed(2)
    scales = {"min_side": 100, "max_side": 160, "max_detections": 12}
    with tiny_trunk():
        if request.param == "mask_rcnn":
            model = spread(MaskRCNN(("a", "b", "c"), "tiny", None, OPTIONS))
            detector = ProposingMaskDetector(model, **scales)
        else:
            detector = MaskDetector(spread(MaskFastRCNN(("a", "b", "c"), "tiny", None)), **scales)
        folder = export_saved_model(detector, tmp_path_factory.mktemp(request.param))
    return detector, tf.saved_model.load(str(folder)).signatures


def answer(case, signature, **inputs):
    detector, served = case
    if detector.needs_proposals:
        inputs["proposals"] = tf.constant(PROPOSALS[None])
    return {name: value.numpy() for name, value in served[signature](**inputs).items()}


def test_the_client_finds_what_the_detector_does(case, tmp_path):
    detector, _ = case
    image = photograph(70, 90, 3)
    (tmp_path / "a.png").write_bytes(encoded(image))
    image = open_image(tmp_path / "a.png")
    given = (PROPOSALS,) if detector.needs_proposals else ()
    expected = detector.detect(image, *given)
    outputs = answer(case, "serving_default", image_bytes=tf.constant([encoded(image)]))
    assert outputs["detection_masks"].shape == (1, 12, 28, 28)
    assert not outputs["detection_masks"][0, len(expected) :].any()
    found = detections_of(outputs, 70, 90, "the export")
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    assert len(found.masks) == len(expected.masks) > 0
    for ours, theirs in zip(found.masks, expected.masks, strict=True):
        differ = run_length.to_bitmap(ours, 70, 90) != run_length.to_bitmap(theirs, 70, 90)
        assert differ.mean() <= 1e-3


def test_pixels_get_the_masks_of_their_file(case):
    image = photograph(70, 90, 3)
    pixels = answer(case, "detect_pixels", images=tf.constant(image[None]))
    file = answer(case, "serving_default", image_bytes=tf.constant([encoded(image)]))
    for name, value in file.items():
        np.testing.assert_allclose(pixels[name], value, atol=1e-5, err_msg=name)


def test_masks_that_are_none_are_refused(case):
    outputs = answer(
        case, "serving_default", image_bytes=tf.constant([encoded(photograph(70, 90, 3))])
    )
    for masks in (outputs["detection_masks"][:, :-1], outputs["detection_masks"] * np.nan):
        with pytest.raises(InputError, match="detection_masks has the shape"):
            detections_of(outputs | {"detection_masks": masks}, 70, 90, "the export")
