"""Images whose scaled side is under the 16 pixels that VGG16 makes a cell of."""

import numpy as np
import pytest

from keras_frcnn.batches.pipeline import batches_for
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.preprocessing import pad_small
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN
from keras_frcnn.settings import Settings
from tests.images import OBJECT, colored_rectangles

SMALL = {"fc_units": (4, 4), "min_side": 60, "max_side": 100}
NAMES = ["one", "two"]


@pytest.fixture(scope="module")
def fast():
    # Random weights give each class a third: everything is a detection.
    return Detector(FastRCNN(NAMES, "vgg16", None, **SMALL), score_threshold=0.1)


@pytest.fixture(scope="module")
def faster():
    return ProposingDetector(FasterRCNN(NAMES, "vgg16", None, **SMALL), score_threshold=0.1)


def test_only_what_is_too_small_is_padded():
    for size, expected in (((3, 4), (16, 16)), ((16, 15), (16, 16)), ((17, 40), (17, 40))):
        image = np.random.default_rng(0).uniform(1, 2, (2, *size, 3)).astype(np.float32)
        padded = pad_small(image).numpy()
        assert padded.shape == (2, *expected, 3)
        np.testing.assert_array_equal(padded[:, : size[0], : size[1]], image)
        assert padded.sum() == pytest.approx(image.sum())
        np.testing.assert_array_equal(pad_small(image[0]), padded[0])


@pytest.mark.parametrize("size", [(8, 2000), (2000, 8), (16, 16), (1, 1)])
def test_detection_of_a_strip(fast, faster, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = fast.detect(image, np.array([[0, 0, size[1], size[0]]], np.float32))
    assert len(found.boxes) > 0
    found, proposals = faster.examine(image)
    assert (len(proposals) > 0) == (size == (16, 16))  # sides of 16 pixels at least
    for boxes in (found.boxes, proposals):
        assert np.isfinite(boxes).all() and (boxes >= 0).all()
        assert (boxes <= np.array(size[::-1] * 2)).all()


@pytest.mark.parametrize("size", [(8, 2000), (2000, 8)])
def test_training_on_a_strip(faster, tmp_path, size):
    """As it is and mirrored, with the padding right and below."""
    height, width = size
    box = (0, 2, 500, 7) if height < width else (1, 0, 3, 500)
    dataset = colored_rectangles(tmp_path, [size], [[box]])
    settings = Settings(
        detector="faster_rcnn", min_side=(60,), max_side=1000, images_per_batch=1, seed=1
    )
    seen = set()
    for x, _ in batches_for(faster.model, ImageSet(dataset), (0, 0, 0), settings).take(6):
        h, w = x["image_sizes"].numpy()[0]
        image = x["images"].numpy()[0]
        assert (h, w) == ((4, 1000) if height < width else (1000, 4))
        assert image.shape[:2] == (max(h, 16), max(w, 16))
        assert image[:h, :w].min() > 0 and not image[h:].any() and not image[:, w:].any()
        red = image[:h, :w, 2] - image[:h, :w, 1] > 100  # of the object; grey has none
        ys, xs = np.nonzero(red)
        drawn = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(x["gt_boxes"].numpy()[0, 0], drawn, atol=2)
        seen.add(int(x["gt_boxes"][0, 0, 0]))
    assert len(seen) == 2 and OBJECT[0] - OBJECT[1] > 100
    outputs = faster.model(x)
    assert outputs["cls_score"].shape == (1, 128, 4)
