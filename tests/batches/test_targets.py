import numpy as np

from keras_frcnn.batches.target_statistics import target_statistics
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from tests.test_boxes import iou_by_counting


def record(boxes, labels, difficult=None):
    difficult = [False] * len(labels) if difficult is None else difficult
    return ImageRecord(
        "a.jpg",
        "a.jpg",
        100,
        100,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int32),
        is_difficult=np.array(difficult, bool),
    )


def test_statistics_equal_a_plain_loop_with_flips():
    rng = np.random.default_rng(0)
    gt = [[2, 2, 22, 22], [20, 15, 38, 39]]
    records = (
        record(gt, [1, 2]),
        record([[5, 5, 30, 20]], [2]),
        record([[0, 0, 39, 39]], [1], [True]),  # difficult: does not count
        record([], []),
    )
    proposals = []
    for _ in records:
        corner = rng.integers(0, 25, (400, 2))
        size = rng.integers(8, 15, (400, 2)) + rng.integers(0, 10, (400, 2))
        proposals.append(np.minimum(np.hstack([corner, corner + size]), 39).astype(np.float32))
    collected = {1: [], 2: []}
    for r, image_proposals in zip(records, proposals, strict=True):
        usable = [i for i in range(len(r.labels)) if not r.is_difficult[i]]
        for flip in (False, True):
            for roi in [*image_proposals, *r.boxes[usable]]:
                ious = [iou_by_counting(roi.astype(int), r.boxes[i].astype(int)) for i in usable]
                if not ious or max(ious) < 0.5:
                    continue
                i = usable[int(np.argmax(ious))]
                a, b = roi.astype(float), r.boxes[i].astype(float)
                if flip:
                    a, b = ([100 - v[2], v[1], 100 - v[0], v[3]] for v in (a, b))
                w, h = a[2] - a[0], a[3] - a[1]
                collected[int(r.labels[i])].append(
                    [
                        ((b[0] + b[2]) - (a[0] + a[2])) / 2 / w,
                        ((b[1] + b[3]) - (a[1] + a[3])) / 2 / h,
                        np.log((b[2] - b[0]) / w),
                        np.log((b[3] - b[1]) / h),
                    ]
                )
    assert min(len(c) for c in collected.values()) > 20
    mean, std = target_statistics(ImageSet(Dataset("d", ("a", "b"), records), proposals))
    for k in (1, 2):
        np.testing.assert_allclose(mean[k - 1], np.mean(collected[k], axis=0), atol=1e-5)
        np.testing.assert_allclose(std[k - 1], np.std(collected[k], axis=0), atol=1e-5)


def test_a_class_without_spread_is_not_divided_by_zero():
    dataset = Dataset("d", ("a", "b"), (record([[0, 0, 10, 10]], [1]),))
    mean, std = target_statistics(ImageSet(dataset, [np.array([[0, 0, 10, 10]], np.float32)]))
    np.testing.assert_array_equal(mean, np.zeros((2, 4)))
    np.testing.assert_array_equal(std, np.ones((2, 4)))


def test_a_coordinate_with_too_little_spread_keeps_its_mean():
    """The proposal is one part in 100,000 wider than the object on each side."""
    dataset = Dataset("d", ("a",), (record([[1e3, 0, 2e3, 10]], [1]),))
    proposal = np.array([[1e3 - 0.01, 0, 2e3 + 0.01, 10]], np.float32)
    mean, std = target_statistics(ImageSet(dataset, [proposal]))
    np.testing.assert_array_equal(std, np.ones((1, 4)))
    # Of the proposal and of the object itself, whose offset is 0.
    np.testing.assert_allclose(mean, [[0, 0, -np.log(1000.02 / 1000) / 2, 0]], atol=1e-6)
    assert mean[0, 2] < 0


def test_statistics_worked_by_hand():
    """One object, 20 x 10 at the origin, and three proposals, one of IoU below 0.5.

    | RoI            | IoU | tx                 | ty               | tw          | th          |
    |----------------|-----|--------------------|------------------|-------------|-------------|
    | 0, 0, 10, 10   | 0.5 | (10 - 5) / 10 = .5 | 0                | ln 2        | 0           |
    | 0, 0, 20, 5    | 0.5 | 0                  | (5 - 2.5) / 5=.5 | 0           | ln 2        |
    | 0, 0, 9, 10    | .45 | background         |                  |             |             |
    | the object     | 1   | 0                  | 0                | 0           | 0           |

    In the mirror image tx is -0.5 for the first and the rest is the same. So there are six RoIs:
    tx has mean 0 and variance 2 * 0.25 / 6, ty mean 1/6 and variance 0.25 / 3 - 1/36 = 1/18, and
    tw and th have mean ln 2 / 3 and variance (ln 2)^2 (1/3 - 1/9) = 2 (ln 2)^2 / 9.
    """
    dataset = Dataset("d", ("a",), (record([[0, 0, 20, 10]], [1]),))
    rois = np.array([[0, 0, 10, 10], [0, 0, 20, 5], [0, 0, 9, 10]], np.float32)
    mean, std = target_statistics(ImageSet(dataset, [rois]))
    ln2 = np.log(2)
    np.testing.assert_allclose(mean, [[0, 1 / 6, ln2 / 3, ln2 / 3]], atol=1e-6)
    spread = np.sqrt([1 / 12, 1 / 18, 2 * ln2**2 / 9, 2 * ln2**2 / 9])
    np.testing.assert_allclose(std, [spread], atol=1e-6)
