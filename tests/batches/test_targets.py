import numpy as np

from keras_frcnn.batches.target_statistics import target_statistics
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet


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
