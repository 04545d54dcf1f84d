"""What the pipeline makes of boxes and in which order, against sums over pixels and counting."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.settings import Settings
from tests.exactness import formulas

NO_MEANS = (0.0, 0.0, 0.0)


def coordinate_image(folder, height, width, boxes, name="0"):
    """A record whose pixels tell where they were: red is 2 x, green 2 y, blue a constant."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([2 * x, 2 * y, np.full_like(x, 200)], axis=-1).astype(np.uint8)
    path = folder / f"{name}.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(
        path.name,
        str(path),
        height,
        width,
        boxes=np.array(boxes, np.float32),
        labels=np.ones(len(boxes), np.int32),
        is_difficult=np.zeros(len(boxes), bool),
    )


def examples(records, proposals, count, min_side, max_side):
    """The first examples of training as NumPy: image, rois, labels, targets."""
    dataset = Dataset("coordinates", ("one",), tuple(records))
    settings = Settings(min_side=(min_side,), max_side=max_side, images_per_batch=1)
    batches = training_dataset(ImageSet(dataset, proposals), NO_MEANS, settings)
    for x, y in batches.take(count).as_numpy_iterator():
        yield x["images"][0], x["rois"][0], y["cls_score"][0], y["bbox_pred"][0, :, 1:]


def is_mirrored(image):
    return image[0, 0, 2] > image[0, -1, 2]  # red, the last channel, grows to the right


@pytest.mark.parametrize("min_side", [40, 37, 101])
def test_sampled_boxes_frame_the_same_pixels_scaled_and_mirrored(tmp_path, min_side):
    """The pixels inside a RoI of the network's input are those of the proposal it came from."""
    record = coordinate_image(tmp_path, 40, 60, [[10, 5, 40, 30]])
    proposals = np.array([[x, y, x + 30, y + 25] for x in range(31) for y in (3, 5, 8)], np.float32)
    known = {tuple(b) for b in [*proposals.tolist(), [10.0, 5.0, 40.0, 30.0]]}
    seen = set()
    for image, rois, labels, targets in examples(
        [record], [proposals], 12, min_side=min_side, max_side=1000
    ):
        height, width, _ = image.shape
        mirrored = is_mirrored(image)
        seen.add(mirrored)
        scale = np.array([width / 60, height / 40] * 2)
        for roi, label, target in zip(rois, labels, targets, strict=True):
            if label < 0:
                continue
            x1, y1, x2, y2 = roi / scale
            original = (60 - x2, y1, 60 - x1, y2) if mirrored else (x1, y1, x2, y2)
            box = tuple(np.round(original))
            np.testing.assert_allclose(original, box, atol=1e-4)
            assert box in known
            if label:
                gt = [20, 5, 50, 30] if mirrored else [10, 5, 40, 30]
                np.testing.assert_allclose(target, formulas.encode((x1, y1, x2, y2), gt), atol=1e-5)
        # The centre of the object: where the network's input has its colour.
        y, x = np.argwhere(np.abs(image[..., 1] - 2 * 17) + np.abs(image[..., 2] - 2 * 24.5) < 4).T
        center = ((x.mean() + 0.5) / scale[0], (y.mean() + 0.5) / scale[1])
        expected = (60 - 25 if mirrored else 25, 17.5)
        np.testing.assert_allclose(center, expected, atol=0.6)
    assert seen == {False, True}


@pytest.mark.parametrize("min_side", [600, 333, 97])
def test_edges_of_the_iou_ranges_survive_scaling_and_mirroring(tmp_path, min_side):
    """A proposal of IoU exactly 1/2 is foreground, one of exactly 1/10 background, always."""
    gt = [[13, 7, 33, 27]]
    record = coordinate_image(tmp_path, 41, 67, gt)
    proposals = [[13, 7, 33, 17], [13, 7, 23, 27], [23, 7, 33, 27], [13, 17, 33, 27]]  # 1/2
    proposals += [[13, 7, 33, 9], [13, 7, 15, 27], [31, 7, 33, 27], [13, 25, 33, 27]]  # 1/10
    assert [formulas.iou(b, gt[0]) for b in proposals] == [Fraction(1, 2)] * 4 + [
        Fraction(1, 10)
    ] * 4
    for _, _, labels, _ in examples(
        [record], [np.array(proposals, np.float32)], 10, min_side=min_side, max_side=2000
    ):
        assert (labels == 1).sum() == 5 and (labels == 0).sum() == 4


def test_half_of_the_examples_are_mirrored_and_each_by_its_own_coin(tmp_path):
    record = coordinate_image(tmp_path, 12, 16, [[2, 2, 10, 10]])
    none = [np.zeros((0, 4), np.float32)]
    flips = [
        is_mirrored(image) for image, *_ in examples([record], none, 1000, min_side=12, max_side=99)
    ]
    # The seed is fixed, and with it the outcome; chance fails one seed in a thousand.
    assert stats.binomtest(sum(flips), 1000).pvalue > 1e-3
    changes = sum(a != b for a, b in pairwise(flips))
    assert stats.binomtest(changes, 999).pvalue > 1e-3


def test_passes_are_drawn_from_all_orders(tmp_path):
    """Every image once a pass, anywhere alike, and beside any other alike; orders rarely recur."""
    none = [np.zeros((0, 4), np.float32)] * 8
    records = [
        coordinate_image(tmp_path, 12, 16 + 2 * i, [[2, 2, 10, 10]], str(i)) for i in range(8)
    ]
    made = examples(records, none, 8 * 320, min_side=12, max_side=99)
    shown = np.array([(image.shape[1] - 16) // 2 for image, *_ in made]).reshape(320, 8)
    assert (np.sort(shown) == range(8)).all()
    # 320 of 40320 equally likely orders: one or two recur, six with a chance below 1 in 100.
    assert len(np.unique(shown, axis=0)) > 314
    table = np.array([np.bincount(column, minlength=8) for column in shown.T])
    # Rows and columns have fixed sums, hence 7 x 7 degrees of freedom (and the factor of a
    # random permutation's covariance).
    assert stats.chi2.sf(((table - 40) ** 2 / 40).sum() * 7 / 8, 49) > 1e-3
    place = np.argmax(shown == 0, axis=1)
    beside = np.bincount(shown[np.arange(320), place ^ 1], minlength=8)[1:]
    assert stats.chisquare(beside).pvalue > 1e-3
