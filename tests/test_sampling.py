"""Sampling by hand; `tests/exactness/test_sampler.py` counts and draws against chance."""

import numpy as np
import pytest

from keras_frcnn.sampling import assign, sample_rois
from tests.test_boxes import iou_by_counting

GT = np.array([[0, 0, 20, 20], [20, 20, 40, 40]], np.float32)
CLASSES = np.array([3, 7], np.int32)
SEED = np.array([1, 2])


def grid_of_boxes():
    """Boxes of many sizes at every fourth pixel: plenty of foreground and of background."""
    boxes = [
        (x, y, x + w, y + h)
        for x in range(0, 24, 2)
        for y in range(0, 24, 2)
        for w in (8, 12, 16)
        for h in (8, 12, 16)
    ]
    return np.array(boxes, np.float32)


def test_assign_takes_the_best_box():
    rois = grid_of_boxes()
    iou = np.array([[iou_by_counting(r.astype(int), g.astype(int)) for g in GT] for r in rois])
    overlap, best = assign(rois, GT)
    np.testing.assert_allclose(overlap, iou.max(axis=1), atol=1e-6)
    different = iou[:, 0] != iou[:, 1]
    np.testing.assert_array_equal(best.numpy()[different], iou.argmax(axis=1)[different])


def test_assign_without_ground_truth():
    overlap, best = assign(grid_of_boxes(), np.zeros((0, 4), np.float32))
    assert not overlap.numpy().any() and not best.numpy().any()


def test_sample_follows_the_paper():
    proposals = grid_of_boxes()
    rois, labels, targets = (x.numpy() for x in sample_rois(proposals, GT, CLASSES, SEED))
    assert rois.shape == (64, 4) and labels.shape == (64,) and targets.shape == (64, 4)
    assert (labels > 0).sum() == 16 and (labels == 0).sum() == 48
    for roi, label, target in zip(rois, labels, targets, strict=True):
        iou = np.array([iou_by_counting(roi.astype(int), g.astype(int)) for g in GT])
        if label:
            gt = GT[iou.argmax()]
            assert iou.max() >= 0.5 and label == CLASSES[iou.argmax()]
            size = roi[2:] - roi[:2]
            center = ((gt[2:] + gt[:2]) - (roi[2:] + roi[:2])) / 2 / size
            scale = np.log((gt[2:] - gt[:2]) / size)
            np.testing.assert_allclose(target, np.concatenate([center, scale]), atol=1e-5)
        else:
            assert 0.1 <= iou.max() < 0.5 and not target.any()
    # Without replacement: the proposals are distinct, so the sampled RoIs are.
    assert len(np.unique(rois, axis=0)) == 64


def test_boundaries_of_the_iou_ranges():
    gt = np.array([[0, 0, 10, 10]], np.float32)
    proposals = np.array(
        [
            [0, 0, 10, 5],  # IoU exactly 0.5: foreground
            [0, 0, 10, 1],  # exactly 0.1: background
            [0, 0, 9, 1],  # 0.09: neither
            [50, 50, 60, 60],  # 0: neither
        ],
        np.float32,
    )
    rois, labels, _ = sample_rois(proposals, gt, np.array([1]), SEED)
    drawn = {tuple(r): int(label) for r, label in zip(rois.numpy(), labels.numpy(), strict=True)}
    assert drawn == {(0, 0, 10, 5): 1, (0, 0, 10, 1): 0, (0, 0, 10, 10): 1, (0, 0, 0, 0): -1}


@pytest.mark.parametrize("count", [0, 5])
def test_no_ground_truth_gives_only_padding(count):
    proposals = grid_of_boxes()[:count]
    _, labels, targets = sample_rois(
        proposals, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), SEED
    )
    assert (labels.numpy() == -1).all() and not targets.numpy().any()


def test_no_proposals_leaves_the_ground_truth():
    _, labels, _ = sample_rois(np.zeros((0, 4), np.float32), GT, CLASSES, SEED)
    assert sorted(labels.numpy()[:3].tolist(), reverse=True) == [7, 3, -1]


def test_same_seed_same_rois_and_another_seed_others():
    proposals = grid_of_boxes()
    first, again, other = (
        sample_rois(proposals, GT, CLASSES, np.array([0, s]))[0].numpy() for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
