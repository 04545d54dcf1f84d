"""Detectors with masks: of the boxes that were found, each the mask of its class."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn import run_length
from keras_frcnn.data.preprocessing import box_scale, scaled_size
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.masking import MaskDetector, ProposingMaskDetector
from keras_frcnn.detection.paste import paste
from keras_frcnn.detection.test_time import TestOptions, with_options
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.test_variants import variants_of
from keras_frcnn.models.mask_rcnn import MaskFastRCNN, MaskRCNN
from keras_frcnn.models.rpn import ProposalOptions
from tests.tiny import tiny_trunk

OPTIONS = ProposalOptions(scales=(2, 4), min_size=4, pre_nms_test=200, test=40)
IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
PROPOSALS = np.float32([(5, 5, 60, 50), (20, 10, 80, 65), (0, 0, 90, 70), (-1, -1, -1, -1)])


def spread(model):
    """The model with scores and masks far from 0.5."""
    for name, factor in (("cls_score", 80), ("mask_logits", 400)):
        layer = model.get_layer(name)
        layer.kernel.assign(layer.kernel * factor)
    return model


@pytest.fixture(scope="module")
def detectors():
    keras.utils.set_random_seed(2)
    with tiny_trunk():
        fast = spread(MaskFastRCNN(("a", "b", "c"), "tiny", None))
        joint = spread(MaskRCNN(("a", "b", "c"), "tiny", None, OPTIONS))
    scales = {"min_side": 100, "max_side": 160, "max_detections": 12}
    return MaskDetector(fast, **scales), ProposingMaskDetector(joint, **scales)


def given(detector):
    return (PROPOSALS,) if detector.needs_proposals else ()


def whole_model_masks(detector, found):
    """The masks of found boxes by the one model that is trained, in place of its two halves."""
    size = scaled_size(tf.constant(IMAGE.shape[:2]), detector.min_side, detector.max_side)
    boxes = found.boxes[None] * box_scale(tf.constant(IMAGE.shape[:2]), size)
    resized = tf.image.resize(tf.cast(IMAGE[None], tf.float32), size)
    inputs = {
        "images": resized[..., ::-1] - tf.constant(detector.pixel_means),
        "rois": boxes,
        "mask_rois": boxes,
        "mask_classes": tf.constant(found.classes[None]),
    }
    logits = detector.model(inputs, training=False)["mask_logits"][0]
    return tf.sigmoid(logits).numpy()


def test_each_mask_is_that_of_its_class_in_its_box(detectors):
    detector = detectors[0]
    found = detector.detect(IMAGE, PROPOSALS)
    assert len(found) and len(set(found.classes)) > 1 and found.image_size == (70, 90)
    for mask, box, counts in zip(
        whole_model_masks(detector, found), found.boxes, found.masks, strict=True
    ):
        expected = paste(mask, box, 70, 90)
        drawn = run_length.to_bitmap(counts, 70, 90) > 0
        assert np.mean(drawn != expected) < 1e-3
    areas = [run_length.area(m, 70, 90) for m in found.masks]
    assert min(areas) < max(areas) and max(areas) > 0


def test_boxes_and_scores_are_those_without_masks(detectors):
    detector = detectors[0]

    class Plain(Detector):
        kind = "mask_fast_rcnn"

        def network(self, images, rois):
            inputs = {"images": images, "rois": rois}
            inputs["mask_rois"] = tf.zeros((1, 1, 4))
            inputs["mask_classes"] = tf.zeros((1, 1), tf.int32)
            return self.model(inputs, training=False)

    plain = Plain(detector.model, min_side=100, max_side=160, max_detections=12)
    expected, found = plain.detect(IMAGE, PROPOSALS), detector.detect(IMAGE, PROPOSALS)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(found.classes, expected.classes)


@pytest.mark.parametrize("which", [0, 1])
def test_rows_of_padding_have_masks_of_zeros(detectors, which):
    detector = detectors[which]
    rows = [p[None] for p in given(detector)]
    *_, count, masks = detector.detect_batch(IMAGE[None], *rows)
    assert masks.shape == (1, 12, 28, 28)
    assert not masks[0, int(count[0]) :].numpy().any()
    assert masks[0, : int(count[0])].numpy().all(axis=(1, 2)).all()  # a sigmoid is above 0


@pytest.mark.parametrize("which", [0, 1])
def test_nothing_found(detectors, which):
    detector = detectors[which]
    kind = type(detector)
    extra = {} if detector.needs_proposals else {"options": detector.options}
    strict = kind(detector.model, min_side=100, max_side=160, score_threshold=1.0, **extra)
    found = strict.detect(IMAGE, *given(detector))
    assert len(found) == 0 and found.masks == ()


def test_examine_tells_the_proposals(detectors):
    found, proposals = detectors[1].examine(IMAGE)
    assert proposals.shape[1] == 4 and 0 < len(proposals) <= 40
    assert len(found.masks) == len(found)


def test_a_detector_without_masks_refuses_the_model(detectors):
    with pytest.raises(InputError, match="is mask_fast_rcnn, not fast_rcnn; use MaskDetector"):
        Detector(detectors[0].model)


def test_json_has_the_masks_and_above_keeps_them(detectors):
    found = detectors[0].detect(IMAGE, PROPOSALS)
    some = found.above(float(found.scores[1]))
    assert some.masks == found.masks[: len(some)] and len(some) >= 2
    entry = found.to_json(("a", "b", "c"))[0]
    assert entry["mask"] == {"size": [70, 90], "counts": found.masks[0].decode()}


@pytest.mark.parametrize("which", [0, 1])
def test_another_suppression_is_another_detector(detectors, which):
    detector = detectors[which]
    other = with_options(detector, TestOptions(nms_iou=0.9))
    assert other is not detector and other.nms_iou == 0.9 and detector.nms_iou == 0.3
    assert len(other.detect(IMAGE, *given(detector)).masks) >= 1
    with pytest.raises(InputError, match="finds masks in the image as it is"):
        with_options(detector, TestOptions(flip=True))
    for variant in variants_of(detector, 40).values():
        with_options(detector, variant.options)  # none of them is refused
