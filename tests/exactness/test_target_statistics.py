"""Mean and deviation of the regression targets against a plain loop over a generated data set."""

import numpy as np
import pytest

from keras_frcnn.batches.target_statistics import target_statistics
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.models.fast_rcnn import FastRCNN
from tests.exactness import formulas
from tests.exactness.test_sampler import integer_boxes

CLASSES = 4  # the last one only has difficult objects
SIDE = 24


def generated(seed, images=16):
    """Images of random objects, some difficult; one without any, and one without proposals."""
    rng = np.random.default_rng(seed)
    records, proposals = [], []
    for i in range(images):
        count = 0 if i == 3 else rng.integers(1, 4)
        labels = rng.integers(1, CLASSES + 1, count)
        boxes = integer_boxes(rng, count, SIDE)
        records.append(
            ImageRecord(
                f"{i}.jpg",
                f"{i}.jpg",
                SIDE,
                SIDE + i,
                boxes=boxes.astype(np.float32),
                labels=labels.astype(np.int32),
                is_difficult=(labels == CLASSES) | (rng.uniform(size=count) < 0.2),
            )
        )
        near = np.repeat(boxes, 40, axis=0) + rng.integers(-2, 3, (40 * count, 4))
        near = near[(near[:, 2:] > near[:, :2]).all(axis=1)]
        made = np.concatenate([integer_boxes(rng, 40, SIDE), near])
        proposals.append((made[:0] if i == 5 else made).astype(np.float32))
    names = tuple("abcdefg"[:CLASSES])
    return Dataset("generated", names, tuple(records)), proposals


def all_targets(dataset, proposals):
    """The targets of every foreground RoI by class, of the images and of their mirror images."""
    found = {u: [] for u in range(1, CLASSES + 1)}
    for record, image_proposals in zip(dataset.images, proposals, strict=True):
        for mirrored in (False, True):
            gt = [
                (box, u)
                for box, u, difficult in zip(
                    record.boxes.astype(int), record.labels, record.is_difficult, strict=True
                )
                if not difficult
            ]
            if not gt:
                continue
            rois = [*image_proposals.astype(int), *(box for box, _ in gt)]
            if mirrored:
                w = record.width
                gt = [((w - b[2], b[1], w - b[0], b[3]), u) for b, u in gt]
                rois = [(w - b[2], b[1], w - b[0], b[3]) for b in rois]
            boxes, classes = zip(*gt, strict=True)
            for u, target in zip(*formulas.label(rois, boxes, classes), strict=True):
                if u:
                    found[u].append(target)
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_statistics_equal_a_plain_loop(seed):
    dataset, proposals = generated(seed)
    found = all_targets(dataset, proposals)
    assert min(len(found[u]) for u in (1, 2, 3)) > 30 and not found[CLASSES]
    mean, std = target_statistics(ImageSet(dataset, proposals))
    assert mean.shape == std.shape == (CLASSES, 4)
    assert mean.dtype == std.dtype == np.float32
    for u in (1, 2, 3):
        np.testing.assert_allclose(mean[u - 1], np.mean(found[u], axis=0), atol=1e-6)
        np.testing.assert_allclose(std[u - 1], np.std(found[u], axis=0), rtol=1e-5)
        # Normalised by these they have the paper's zero mean and unit variance.
        normalised = (np.array(found[u]) - mean[u - 1]) / std[u - 1]
        np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(normalised.var(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(mean[CLASSES - 1], 0)
    np.testing.assert_array_equal(std[CLASSES - 1], 1)


def test_mirror_images_make_the_mean_of_tx_zero():
    mean, _ = target_statistics(ImageSet(*generated(2)))
    np.testing.assert_allclose(mean[:, 0], 0, atol=1e-12)
    assert (np.abs(mean[:3, 1:]) > 1e-3).all()


def test_the_model_contains_the_inverse():
    """Its last layer takes normalised outputs to targets: times the deviation, plus the mean."""
    mean, std = target_statistics(ImageSet(*generated(3)))
    names = map(str, range(CLASSES))
    model = FastRCNN(names, "squeezenet", None, (mean, std), fc_units=(4, 4))
    outputs = np.random.default_rng(0).normal(size=(2, 3, CLASSES, 4)).astype(np.float32)
    found = model.get_layer("bbox_pred")(outputs)
    np.testing.assert_allclose(found, outputs * std + mean, rtol=1e-5, atol=1e-6)
