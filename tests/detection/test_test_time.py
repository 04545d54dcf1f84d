"""Other choices at test time, against plain NumPy."""

import numpy as np
import pytest

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.detection.test_time import (
    TestOptions,
    TestTimeDetector,
    soft_suppress,
    with_options,
)
from keras_frcnn.errors import InputError
from tests.detection.test_detector import detections_by_hand, iou
from tests.export.conftest import MEANS, small_faster, small_model
from tests.export.requests import photograph, proposals_in

IMAGE = photograph(90, 120)
BOXES = proposals_in(90, 120, 60)


@pytest.fixture(scope="module")
def detector():
    return Detector(small_model(), MEANS, min_side=96, max_side=160)


@pytest.fixture(scope="module")
def proposing():
    return ProposingDetector(small_faster(), MEANS, min_side=96, max_side=160)


def assert_same(found, expected, atol=2e-3):
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=atol)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_array_equal(found.classes, expected.classes)


def flipped(boxes, width=120):
    return boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]


def predicted(detector, image, *boxes):
    """Scores, offsets and proposals, as NumPy."""
    outputs = [x[0].numpy() for x in detector.predict(image[None], *(b[None] for b in boxes))]
    return outputs[0], outputs[1], boxes[0] if boxes else outputs[2]


def by_hand(detector, views, nms_iou=0.3):
    """Views are (scores, offsets, proposals, whether mirrored); one list of detections."""
    rows = []
    for p, deltas, boxes, mirrored in views:
        none = detections_by_hand(p, deltas, boxes, (90, 120), 0.05, 1.0, 10**9)
        for score, box, k in none:
            rows.append((score, flipped(box[None])[0] if mirrored else box, k))
    kept = []
    for score, box, k in sorted(rows, key=lambda row: -row[0]):
        if all(iou(box, b) <= nms_iou for _, b, c in kept if c == k):
            kept.append((score, box, k))
    return kept[: detector.max_detections]


def assert_by_hand(found, expected):
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.scores, [s for s, _, _ in expected], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [b for _, b, _ in expected], atol=3e-3)


def test_the_defaults_are_the_detector_itself(detector, proposing):
    assert with_options(detector, TestOptions()) is detector
    assert_same(
        TestTimeDetector(detector, TestOptions()).detect(IMAGE, BOXES),
        detector.detect(IMAGE, BOXES),
    )
    found, boxes = TestTimeDetector(proposing, TestOptions()).examine(IMAGE)
    expected, given = proposing.examine(IMAGE)
    assert_same(found, expected)
    np.testing.assert_allclose(boxes, given, atol=1e-3)


def test_the_mirrored_view_is_joined_before_suppression(detector):
    mirrored = np.ascontiguousarray(IMAGE[:, ::-1])
    there = flipped(BOXES).astype(np.float32)
    views = [
        (*predicted(detector, IMAGE, BOXES), False),
        (*predicted(detector, mirrored, there), True),
    ]
    found = TestTimeDetector(detector, TestOptions(flip=True)).detect(IMAGE, BOXES)
    assert_by_hand(found, by_hand(detector, views))
    alone = detector.detect(IMAGE, BOXES)
    assert len(found) != len(alone) or not np.array_equal(found.scores, alone.scores)


def test_proposals_are_made_in_the_mirrored_view_too(proposing):
    mirrored = np.ascontiguousarray(IMAGE[:, ::-1])
    views = [(*predicted(proposing, IMAGE), False), (*predicted(proposing, mirrored), True)]
    found, boxes = TestTimeDetector(proposing, TestOptions(flip=True)).examine(IMAGE)
    assert_by_hand(found, by_hand(proposing, views))
    first, second = (v[2][(v[2] != -1).all(axis=1)] for v in views)
    np.testing.assert_allclose(boxes, np.concatenate([first, flipped(second)]), atol=1e-3)


def test_a_mirrored_image_has_mirrored_detections(detector):
    """With the flip both views are the same, in another order."""
    twice = TestTimeDetector(detector, TestOptions(flip=True))
    there = flipped(BOXES).astype(np.float32)
    one = twice.detect(IMAGE, BOXES)
    other = twice.detect(np.ascontiguousarray(IMAGE[:, ::-1]), there)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.boxes, flipped(other.boxes), atol=3e-3)


@pytest.mark.parametrize("name", ["detector", "proposing"])
def test_scales_are_joined(name, request):
    detector = request.getfixturevalue(name)
    given = (BOXES,) if detector.needs_proposals else ()
    sides = (80, 120)
    views = []
    for side in sides:
        settings = {"min_side": side, "max_side": round(160 * side / 96)}
        at_side = type(detector)(detector.model, MEANS, **settings)
        views.append((*predicted(at_side, IMAGE, *given), False))
    found = TestTimeDetector(detector, TestOptions(scales=sides)).detect(IMAGE, *given)
    assert_by_hand(found, by_hand(detector, views))


@pytest.mark.parametrize("nms_iou", [0.0, 0.6, 1.0])
def test_other_thresholds(detector, nms_iou):
    views = [(*predicted(detector, IMAGE, BOXES), False)]
    found = TestTimeDetector(detector, TestOptions(nms_iou=nms_iou)).detect(IMAGE, BOXES)
    assert_by_hand(found, by_hand(detector, views, nms_iou))


def test_without_regression_boxes_are_proposals(detector, proposing):
    options = TestOptions(box_regression=False)
    found = TestTimeDetector(detector, options).detect(IMAGE, BOXES)
    inside = np.clip(BOXES, 0, [120, 90, 120, 90])
    nearest = np.abs(found.boxes[:, None] - inside[None]).max(axis=2).min(axis=1)
    assert len(found) and nearest.max() < 1e-3
    found, boxes = TestTimeDetector(proposing, options).examine(IMAGE)
    assert np.abs(found.boxes[:, None] - boxes[None]).max(axis=2).min(axis=1).max() < 1e-3


def soft_by_hand(boxes, scores, threshold, sigma, most):
    """Bodla et al., figure 2, with the Gaussian penalty."""
    found = []
    for k in range(boxes.shape[1]):
        left = [[float(s), b] for s, b in zip(scores[:, k], boxes[:, k], strict=True)]
        while left:
            best = max(range(len(left)), key=lambda i: left[i][0])
            score, box = left.pop(best)
            if score <= threshold:
                break
            found.append((score, box, k + 1))
            for other in left:
                other[0] *= np.exp(-(iou(box, other[1]) ** 2) / sigma)
    return sorted(found, key=lambda f: -f[0])[:most]


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_soft_suppression_equals_a_loop(sigma):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (50, 1, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (50, 1, 2))], 2)
    boxes = (boxes + rng.normal(0, 2, (50, 3, 4))).astype(np.float32)
    scores = rng.random((50, 3)).astype(np.float32)
    for most in (100, 9):
        found = soft_suppress(boxes, scores, 0.2, sigma, most)
        expected = soft_by_hand(boxes.astype(float), scores, 0.2, sigma, most)
        np.testing.assert_allclose(found[1], [s for s, _, _ in expected], rtol=1e-4)
        np.testing.assert_allclose(found[0], [b for _, b, _ in expected], rtol=1e-5)
        assert found[2].tolist() == [k for _, _, k in expected]


def test_soft_suppression_of_a_detector(detector):
    found = TestTimeDetector(detector, TestOptions(soft_nms=0.5)).detect(IMAGE, BOXES)
    assert len(found) > len(detector.detect(IMAGE, BOXES))
    assert (np.diff(found.scores) <= 0).all() and found.class_names == detector.class_names


def test_nothing_to_detect(detector):
    everything = TestOptions(flip=True, scales=(64, 96), soft_nms=0.5, box_regression=False)
    nothing = TestTimeDetector(detector, everything).detect(IMAGE, np.zeros((0, 4), np.float32))
    assert len(nothing) == 0
    one = TestTimeDetector(detector, TestOptions(flip=True)).detect(IMAGE, BOXES[:1])
    assert len(one) <= 6


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scales": (600, 0)}, "--test-scales: must be whole"),
        ({"scales": (600, 600)}, "--test-scales: must be different"),
        ({"nms_iou": 1.5}, "--nms-iou: must be from 0 to 1"),
        ({"nms_iou": float("nan")}, "--nms-iou"),
        ({"soft_nms": 0.0}, "--soft-nms: must be above 0"),
        ({"soft_nms": float("nan")}, "--soft-nms"),
        ({"soft_nms": 0.5, "nms_iou": 0.4}, "--nms-iou: soft suppression"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        TestOptions(**options)
