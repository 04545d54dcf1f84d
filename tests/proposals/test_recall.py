import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.proposals.recall import average_recall, proposal_recall, total_recall


def test_hand_worked_recall():
    first = ImageRecord(
        "a.png", "a.png", 100, 100,
        boxes=np.float32([[0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]]),
        labels=np.int32([1, 1, 2]),
        is_difficult=np.array([False, False, True]),
    )  # fmt: skip
    second = ImageRecord(
        "b.png", "b.png", 100, 100,
        boxes=np.float32([[0, 0, 30, 10], [0, 0, 40, 10]]),
        labels=np.int32([1, 3]),
        is_difficult=np.array([False, False]),
    )  # fmt: skip
    empty = ImageRecord("c.png", "c.png", 100, 100)
    dataset = Dataset("d", ("one", "two", "three", "four"), (first, second, empty))
    proposals = [
        # IoU 100 / 200 with the first object: exactly 0.5 counts; 0 with the second.
        np.float32([[0, 0, 20, 10]]),
        # IoU 10/30 with the first, 10/40 with the second, and 3/4 between 30 and 40 wide.
        np.float32([[0, 0, 10, 10], [10, 0, 40, 10]]),
        np.float32([[0, 0, 1, 1]]),
    ]
    # Class 1: one of (first image) two, and 200/400 in the second image; class 2 only difficult.
    np.testing.assert_allclose(
        proposal_recall(ImageSet(dataset, proposals)), [2 / 3, np.nan, 1, np.nan]
    )
    np.testing.assert_allclose(
        proposal_recall(ImageSet(dataset, proposals), 0.76), [0, np.nan, 0, np.nan]
    )
    assert total_recall(ImageSet(dataset, proposals)) == 3 / 4
    assert total_recall(ImageSet(dataset, proposals), 0.76) == 0


def test_images_without_proposals():
    record = ImageRecord(
        "a.png", "a.png", 9, 9, boxes=np.float32([[0, 0, 9, 9]]), labels=np.int32([1]),
        is_difficult=np.array([False]),
    )  # fmt: skip
    dataset = Dataset("d", ("one",), (record,))
    assert proposal_recall(ImageSet(dataset, [np.zeros((0, 4), np.float32)])).tolist() == [0.0]
    assert total_recall(ImageSet(dataset, [np.zeros((0, 4), np.float32)])) == 0


def test_average_recall_is_the_mean_over_thresholds():
    record = ImageRecord(
        "a.png", "a.png", 100, 100,
        boxes=np.float32([[0, 0, 40, 10], [50, 50, 90, 60], [0, 80, 40, 90], [0, 0, 90, 90]]),
        labels=np.int32([1, 1, 1, 1]),
        is_difficult=np.array([False, False, False, True]),
    )  # fmt: skip
    dataset = Dataset("d", ("one",), (record,))
    # IoU 1, 0.75 and 0.5 with the three objects; 2 * (IoU - 0.5) is 1, 0.5 and 0.
    proposals = [np.float32([[0, 0, 40, 10], [50, 50, 80, 60], [0, 80, 20, 90]])]
    assert average_recall(ImageSet(dataset, proposals)) == pytest.approx(0.5)
    thresholds = np.linspace(0.5, 1, 2001)
    recalls = [total_recall(ImageSet(dataset, proposals), t) for t in thresholds]
    assert average_recall(ImageSet(dataset, proposals)) == pytest.approx(np.mean(recalls), abs=1e-3)
    assert average_recall(ImageSet(dataset, [np.zeros((0, 4), np.float32)])) == 0
    assert np.isnan(average_recall(ImageSet(Dataset("d", ("one",), ()), [])))
