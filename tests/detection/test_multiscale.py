"""Detection at several scales, against the detectors of each scale."""

import keras
import numpy as np
import pytest

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.models.fast_rcnn import FastRCNN

MEANS = (104.0, 117.0, 123.0)
SIDES, MAX_SIDE = (224, 320, 480), 600


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return FastRCNN(list("abc"), "squeezenet", None, (0, 100), fc_units=(8, 8))


def test_each_proposal_is_seen_at_its_scale(model):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 400, 600, 3), dtype=np.uint8)
    corners = np.sort(rng.uniform(0, 1, (2, 50, 2, 2)) * (600, 400), axis=2)
    proposals = np.float32(corners.reshape(2, 50, 4))
    proposals[1, 40:] = -1  # padding
    detector = MultiScaleDetector(model, MEANS, SIDES, MAX_SIDE)
    probabilities, deltas = (x.numpy() for x in detector.predict(image, proposals))

    # 400 x 600 pixels become 224 x 336, 320 x 480 and, since the longer side is at most 600,
    # stay as they are.
    factors = np.array([[336 / 600, 224 / 400], [480 / 600, 320 / 400], [1, 1]])
    size = (proposals[..., 2:] - proposals[..., :2]).astype(float)
    areas = (size[:, :, None] * factors).prod(axis=-1)
    chosen = np.abs(areas - 224**2).argmin(axis=-1)
    assert set(chosen[0]) == set(chosen[1]) == {0, 1, 2}
    for s, side in enumerate(SIDES):
        single = Detector(model, MEANS, side, MAX_SIDE)
        expected = [x.numpy() for x in single.predict(image, proposals)]
        here = (chosen == s) & (proposals[..., 2] > 0)
        np.testing.assert_allclose(probabilities[here], expected[0][here], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(deltas[here], expected[1][here], rtol=1e-3, atol=1e-4)


def test_one_scale_is_an_ordinary_detector(model):
    image = np.random.default_rng(2).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    proposals = np.float32([[0, 0, 30, 40], [10, 20, 60, 90], [5, 5, 25, 25]])
    one = MultiScaleDetector(model, MEANS, (64,), 100, score_threshold=0.0)
    other = Detector(model, MEANS, 64, 100, score_threshold=0.0)
    a, b = one.detect(image, proposals), other.detect(image, proposals)
    assert len(a) > 0
    np.testing.assert_array_equal(a.classes, b.classes)
    np.testing.assert_allclose(a.boxes, b.boxes, rtol=1e-5)
