import cv2
import keras
import numpy as np
import pytest

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.layers import RoIPool

MEANS = (103.939, 116.779, 123.68)


def iou(a, b):
    left, top = np.maximum(a[:2], b[:2])
    right, bottom = np.minimum(a[2:], b[2:])
    inside = max(right - left, 0) * max(bottom - top, 0)
    areas = [(v[2] - v[0]) * (v[3] - v[1]) for v in (a, b)]
    return inside / (sum(areas) - inside) if inside else 0.0


def detections_by_hand(p, deltas, proposals, size, score_threshold, nms_iou, limit):
    """Decode, clip, threshold and suppress one image, written from the recipe."""
    kept = []
    for k in range(deltas.shape[1]):
        boxes = []
        for proposal, (tx, ty, tw, th), score in zip(
            proposals, deltas[:, k], p[:, k + 1], strict=True
        ):
            w, h = proposal[2] - proposal[0], proposal[3] - proposal[1]
            if score <= score_threshold or w <= 0 or h <= 0:
                continue
            cx, cy = proposal[0] + w / 2 + tx * w, proposal[1] + h / 2 + ty * h
            w, h = w * np.exp(tw), h * np.exp(th)
            box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
            box = np.clip(box, 0, [size[1], size[0]] * 2)
            if box[2] > box[0] and box[3] > box[1]:
                boxes.append((score, box))
        boxes.sort(key=lambda b: -b[0])
        chosen = []
        for score, box in boxes:
            if all(iou(box, other) <= nms_iou for _, other, _ in chosen):
                chosen.append((score, box, k + 1))
        kept += chosen
    return sorted(kept, key=lambda b: -b[0])[:limit]


@pytest.mark.parametrize("limit", [100, 7])
def test_postprocess_equals_a_plain_loop(limit):
    rng = np.random.default_rng(0)
    n, r, k = 2, 80, 3
    logits = rng.normal(0, 2, (n, r, k + 1))
    p = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)
    deltas = rng.normal(0, 0.2, (n, r, k, 4)).astype(np.float32)
    corner = rng.uniform(-10, 80, (n, r, 2))
    proposals = np.concatenate([corner, corner + rng.uniform(5, 60, (n, r, 2))], -1)
    proposals = proposals.astype(np.float32)
    proposals[:, -5:] = -1  # padding
    proposals[:, 3, 2] = proposals[:, 3, 0] - 4  # inverted
    size = np.array([90, 100])
    outputs = postprocess(p, deltas, proposals, size, 0.05, 0.3, limit)
    boxes, scores, classes, count = (x.numpy() for x in outputs)
    assert boxes.shape == (n, limit, 4) and classes.dtype == np.int32
    for i in range(n):
        expected = detections_by_hand(p[i], deltas[i], proposals[i], size, 0.05, 0.3, limit)
        assert count[i] == len(expected) > 5
        np.testing.assert_array_equal(classes[i, : count[i]], [e[2] for e in expected])
        np.testing.assert_allclose(scores[i, : count[i]], [e[0] for e in expected])
        np.testing.assert_allclose(boxes[i, : count[i]], [e[1] for e in expected], atol=1e-3)
        assert not boxes[i, count[i] :].any() and not classes[i, count[i] :].any()


def test_boxes_outside_the_image_are_no_detections():
    """Proposals beyond each border, one that a border cuts, and one that its deltas move out."""
    outside = [[-30, 5, -1, 20], [5, -30, 20, 0], [100, 5, 120, 20], [5, 90, 20, 95]]
    proposals = np.array([[*outside, [90, 5, 120, 20], [80, 80, 90, 90]]], np.float32)
    p = np.full((1, 6, 2), 0.5, np.float32)
    deltas = np.zeros((1, 6, 1, 4), np.float32)
    deltas[0, 5, 0, 0] = 3.0
    boxes, *_, count = postprocess(p, deltas, proposals, np.array([90, 100]))
    assert count.numpy().tolist() == [1]
    np.testing.assert_allclose(boxes[0, 0], [90, 5, 100, 20])


def test_score_of_exactly_the_threshold_is_dropped():
    p = np.array([[[0.5, 0.5], [0.4, 0.6]]], np.float32)
    proposals = np.array([[[0, 0, 10, 10], [50, 50, 60, 60]]], np.float32)
    deltas = np.zeros((1, 2, 1, 4), np.float32)
    *_, count = postprocess(p, deltas, proposals, np.array([100, 100]), score_threshold=0.5)
    assert count.numpy().tolist() == [1]


def test_distinct_rois_stand_for_the_same_cells():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (2, 300, 2))
    rois = np.concatenate([corner, corner + rng.uniform(0, 60, (2, 300, 2))], -1).astype(np.float32)
    # Halves of a cell, where rounding half to even would join what the op keeps apart.
    rois[0, :4] = [[8, 8, 40, 40], [16, 16, 32, 32], [16, 16, 48, 48], [24, 24, 40, 40]]
    distinct, index = (x.numpy() for x in RoIPool(7, 1 / 16).distinct_rois(rois))
    rounded = np.floor(rois / 16 + 0.5)  # right for these: all positive, 1/16 exact
    for n in range(2):
        for r in range(300):
            representative = distinct[n, index[n, r]]
            np.testing.assert_array_equal(np.floor(representative / 16 + 0.5), rounded[n, r])
        groups = len(np.unique(rounded[n], axis=0))
        assert len(np.unique(index[n])) == groups < 300


def test_distinct_rois_rounds_negative_halves_away_from_zero():
    rois = np.array([[[-8, -24, 8, 24], [-16, -32, 16, 32], [-9, -25, 9, 25]]], np.float32)
    distinct, index = RoIPool(7, 1 / 16).distinct_rois(rois)
    # round(-0.5) = -1, round(-1.5) = -2: all three rows are cells (-1, -2, 1, 2).
    assert distinct.shape == (1, 1, 4) and index.numpy().tolist() == [[0, 0, 0]]


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(3)
    model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(32, 32))
    # Scores far enough apart that some pass the threshold.
    head = model.get_layer("cls_score")
    head.kernel.assign(head.kernel * 30)
    return Detector(model, MEANS, min_side=64, max_side=120)


def photograph(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def proposals_in(height, width, count, seed=0):
    corners = np.random.default_rng(seed).uniform(0, 1, (count, 2, 2)) * [width, height]
    return np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)


def test_detector_equals_the_model_on_every_proposal(detector):
    """Sharing equal proposals must not change what comes out."""
    image, proposals = photograph(90, 120), proposals_in(90, 120, 150)
    p, deltas = detector.predict(image[None], proposals[None])
    scaled = cv2.resize(image[..., ::-1].astype(np.float32), (85, 64)) - np.array(MEANS, np.float32)
    rois = proposals * np.array([85 / 120, 64 / 90] * 2, np.float32)
    out = detector.model({"images": scaled[None], "rois": rois[None]})
    logits = np.asarray(out["cls_score"], np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(p, expected, atol=1e-4)
    np.testing.assert_allclose(deltas, out["bbox_pred"], atol=1e-4)


def test_detections_are_sorted_inside_the_image_and_above_the_threshold(detector):
    found = detector.detect(photograph(90, 120), proposals_in(90, 120, 200))
    assert len(found) > 3
    assert (np.diff(found.scores) <= 0).all() and (found.scores > 0.05).all()
    assert (found.boxes >= 0).all() and (found.boxes <= [120, 90, 120, 90]).all()
    assert set(found.classes) <= {1, 2, 3}


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (700, 40)])
def test_odd_sizes(detector, size):
    detector.detect(photograph(*size), np.array([[0, 0, size[1], size[0]]], np.float32))


def test_no_proposals_no_detections(detector):
    assert len(detector.detect(photograph(50, 60), np.zeros((0, 4), np.float32))) == 0


def test_batches_equal_single_images(detector):
    images = np.stack([photograph(90, 120, s) for s in range(2)])
    proposals = np.stack([proposals_in(90, 120, 50, s) for s in range(2)])
    padded = np.concatenate([proposals, np.full((2, 9, 4), -1, np.float32)], axis=1)
    boxes, scores, _, count = (x.numpy() for x in detector.detect_batch(images, padded))
    for i in range(2):
        alone = detector.detect(images[i], proposals[i])
        assert count[i] == len(alone)
        np.testing.assert_allclose(boxes[i, : count[i]], alone.boxes, atol=1e-2)
        np.testing.assert_allclose(scores[i, : count[i]], alone.scores, atol=1e-4)


def test_a_model_brings_what_its_detector_needs():
    model = FastRCNN(
        ["cat", "dog"], "squeezenet", None, fc_units=(8, 8), min_side=(96, 48, 64), max_side=100
    )
    mine = Detector(model)
    assert (mine.min_side, mine.max_side) == (64, 100)  # the middle one of three
    assert mine.pixel_means == (104.0, 117.0, 123.0) and mine.class_names == ("cat", "dog")
    other = Detector(model, (1.0, 2.0, 3.0), 32, 50, class_names=("Katze", "Hund"))
    assert (other.pixel_means, other.min_side, other.max_side) == ((1.0, 2.0, 3.0), 32, 50)
    assert other.class_names == ("Katze", "Hund")
    image, proposals = photograph(50, 60), proposals_in(50, 60, 20)
    found = Detector(model, score_threshold=0.0).detect(image, proposals)
    assert found.class_names == ("cat", "dog") and set(found.names) <= {"cat", "dog"}
    assert MultiScaleDetector(model).scales[1].min_side == 48


def test_a_model_of_plain_keras_needs_to_be_told(detector):
    plain = keras.Model(detector.model.input, detector.model.output)
    with pytest.raises(InputError, match=r"pixel_means: .* give those"):
        Detector(plain)
    told = Detector(plain, MEANS)
    assert (told.min_side, told.max_side, told.class_names) == (600, 1000, ())
