import time

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.proposals.recall import (
    SIZES,
    average_recall,
    proposal_recall,
    ranked_recall,
    total_recall,
)


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


def ranked_data_set():
    """Two images: a wide object and one that nothing finds; a difficult one and a square."""
    first = ImageRecord(
        "a.png", "a.png", 100, 100,
        boxes=np.float32([[0, 0, 40, 10], [60, 60, 80, 80]]),
        labels=np.int32([1, 2]),
        is_difficult=np.array([False, False]),
    )  # fmt: skip
    second = ImageRecord(
        "b.png", "b.png", 100, 100,
        boxes=np.float32([[0, 0, 50, 50], [10, 10, 20, 20]]),
        labels=np.int32([1, 1]),
        is_difficult=np.array([True, False]),
    )  # fmt: skip
    return Dataset("d", ("one", "two"), (first, second))


def test_hand_worked_ranking():
    proposals = [
        # IoU with the wide object: 20/40, 36/40, 30/40.
        np.float32([[0, 0, 20, 10], [0, 0, 36, 10], [0, 0, 30, 10]]),
        # Only the second touches the square, by 60/100.
        np.float32([[80, 80, 90, 90], [10, 10, 16, 20]]),
    ]
    found = ranked_recall(ImageSet(ranked_data_set(), proposals), (1, 2, 100))
    np.testing.assert_allclose(found.overlaps, [[0.5, 0.9, 0.9], [0, 0, 0], [0, 0.6, 0.6]])
    np.testing.assert_allclose(found.mean_counts, [1, 2, 2.5])
    third = 1 / 3
    # With one proposal exactly 0.5 counts; 0.6 does as well, and 0.9 of 36/40.
    np.testing.assert_allclose(
        found.at([0.5, 0.6, 0.7, 0.9, 0.91]),
        [[third, 0, 0, 0, 0], *[[2 * third, 2 * third, third, third, 0]] * 2],
    )
    np.testing.assert_allclose(found.average(), [0, third, third])  # (0.8 + 0.2) / 3


def slow_recall(images, count, iou_threshold):
    """Object by object, proposal by proposal, with areas by hand."""
    objects = found = 0
    for record, boxes in zip(images.dataset.images, images.proposals, strict=True):
        for (x1, y1, x2, y2), difficult in zip(
            record.boxes.tolist(), record.is_difficult, strict=True
        ):
            if difficult:
                continue
            objects += 1
            for u1, v1, u2, v2 in boxes[:count].tolist():
                common = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
                both = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - common
                if common >= iou_threshold * both:
                    found += 1
                    break
    return found / objects


def test_ranked_recall_of_many_images_against_a_loop():
    rng = np.random.default_rng(0)
    records, proposals = [], []
    for i in range(30):
        boxes = rng.integers(0, 40, (rng.integers(0, 5), 4)).astype(np.float32)
        boxes[:, 2:] += boxes[:, :2] + 1
        difficult = rng.random(len(boxes)) < 0.2
        labels = np.ones(len(boxes), np.int32)
        records.append(ImageRecord(f"{i}", f"{i}", 90, 90, 1, boxes, labels, difficult))
        found = rng.integers(0, 40, (rng.integers(0, 120), 4)).astype(np.float32)
        found[:, 2:] += found[:, :2] + 1
        proposals.append(found)
    images = ImageSet(Dataset("d", ("one",), tuple(records)), proposals)
    counts, ious = (1, 3, 10, 50, 100, 1000), (0.3, 0.5, 0.6, 0.7, 0.8)
    expected = [[slow_recall(images, n, t) for t in ious] for n in counts]
    found = ranked_recall(images, counts)
    np.testing.assert_array_equal(found.at(ious), expected)
    assert 0.1 < expected[-1][1] < 0.95
    assert found.at([0.5])[-1, 0] == total_recall(images)
    assert found.average()[-1] == average_recall(images)


def test_no_objects_and_no_proposals():
    dataset = ranked_data_set()
    nothing = ImageSet(dataset, [np.zeros((0, 4), np.float32)] * 2)
    found = ranked_recall(nothing, (10, 20))
    assert found.at([0.5, 0.7]).tolist() == [[0, 0], [0, 0]] and found.average().tolist() == [0, 0]
    assert found.mean_counts.tolist() == [0, 0]
    empty = ranked_recall(ImageSet(Dataset("d", ("one",), ()), []), (10, 20))
    assert np.isnan(empty.at([0.5])).all() and np.isnan(empty.average()).all()
    assert np.isnan(empty.mean_counts).all()


def test_five_hundred_images_of_two_thousand_proposals_take_seconds():
    rng = np.random.default_rng(0)
    dataset = ranked_data_set()
    boxes = rng.uniform(0, 50, (2000, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    many = Dataset("d", dataset.class_names, dataset.images * 250)
    begun = time.process_time()
    ranked_recall(ImageSet(many, [boxes] * 500), range(20, 2001, 20))
    assert time.process_time() - begun < 20  # one or two, on a free machine


def test_objects_of_a_class_and_of_a_size():
    """Areas of 1023, 1024, 9215 and 9216 pixels are small, medium, medium and large."""
    boxes = np.float32(
        [[0, 0, 31, 33], [0, 0, 32, 32], [0, 0, 95, 97], [0, 0, 96, 96], [0, 0, 9, 9]]
    )
    record = ImageRecord(
        "a", "a", 100, 100,
        boxes=boxes, labels=np.int32([1, 2, 2, 1, 1]), is_difficult=np.array([0, 0, 0, 0, 1], bool),
    )  # fmt: skip
    images = ImageSet(Dataset("d", ("x", "y", "z"), (record,)), [boxes[[1, 3]]])
    found = ranked_recall(images, [1, 2])
    assert [len(found.of_size(size).labels) for size in SIZES] == [1, 2, 1]
    assert found.of_size("large").at([0.9]).tolist() == [[0], [1]]
    assert found.of_class(2).at([0.99])[1] == pytest.approx(0.5)
    assert [len(found.of_class(k).labels) for k in (1, 2, 3)] == [2, 2, 0]
    assert np.isnan(found.of_class(3).average()).all()
