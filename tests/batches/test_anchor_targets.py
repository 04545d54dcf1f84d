"""Labels of anchors by hand; `tests/exactness/test_anchors.py` compares them by the million."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.batches.anchor_targets import anchor_targets, assign_anchors
from keras_frcnn.models.anchors import inside_anchors
from keras_frcnn.models.rpn import ProposalOptions

NO_OBJECTS = np.zeros((0, 4), np.float32)
SEED = [1, 2]


def test_edges_of_the_iou_ranges():
    anchors = np.float32(
        [
            [0, 0, 100, 100],  # the object itself
            [0, 0, 100, 70],  # IoU exactly 0.7: positive
            [0, 0, 100, 69],  # neither
            [0, 0, 100, 30],  # exactly 0.3: neither
            [0, 0, 100, 29],  # negative
            [200, 200, 300, 300],  # 0: negative
        ]
    )
    labels, matched = assign_anchors(anchors, np.float32([[0, 0, 100, 100]]))
    assert labels.numpy().tolist() == [1, 1, -1, -1, 0, 0]
    assert not matched.numpy().any()


def test_every_object_has_its_best_anchors_however_poor():
    anchors = np.float32([[0, 0, 100, 100], [100, 0, 200, 100], [200, 0, 300, 100]])
    objects = np.float32([[90, 40, 110, 60]])  # as much in the first as in the second
    labels, _ = assign_anchors(anchors, objects)
    assert labels.numpy().tolist() == [1, 1, 0]


def test_an_object_that_no_anchor_touches_has_none():
    anchors = np.float32([[0, 0, 10, 10], [10, 0, 20, 10]])
    labels, _ = assign_anchors(anchors, np.float32([[50, 50, 60, 60], [0, 0, 10, 10]]))
    assert labels.numpy().tolist() == [1, 0]


def test_the_best_anchor_of_one_object_may_be_matched_with_another():
    anchors = np.float32([[0, 0, 100, 100]])
    small, large = [0, 0, 10, 10], [0, 0, 100, 90]
    labels, matched = assign_anchors(anchors, np.float32([small, large, large]))
    assert labels.numpy().tolist() == [1] and matched.numpy().tolist() == [1]


def test_an_image_without_objects_gives_negatives_only():
    index, labels, targets = anchor_targets([400, 500], NO_OBJECTS, SEED, ProposalOptions())
    assert (labels.numpy() == 0).all() and not targets.numpy().any()
    assert len(np.unique(index, axis=0)) == 256


@pytest.mark.parametrize("objects", [NO_OBJECTS, np.float32([[3, 5, 60, 70]])])
@pytest.mark.parametrize("size", [(1, 1), (8, 2000), (400, 88)])
def test_an_image_without_anchors_gives_padding_only(size, objects):
    index, labels, targets = anchor_targets(size, objects, SEED, ProposalOptions())
    assert (labels.numpy() == -1).all()
    assert not index.numpy().any() and not targets.numpy().any()


def test_places_labels_and_targets_belong_together():
    options, size = ProposalOptions((2, 4), (1,)), (150, 200)
    base = options.base()
    objects = np.float32([[60, 60, 120, 130]])
    index, labels, targets = (x.numpy() for x in anchor_targets(size, objects, SEED, options))
    assert index.shape == (256, 3) and labels.shape == (256,) and targets.shape == (256, 4)
    assert (np.diff(labels) <= 0).all(), "positives, negatives, padding"
    for (y, x, a), label, target in zip(index, labels, targets, strict=True):
        if label == 1:
            x1, y1, x2, y2 = base[a] + 16 * np.array([x, y, x, y])
            side = x2 - x1
            expected = [(90 - (x1 + x2) / 2) / side, (95 - (y1 + y2) / 2) / side]
            expected += [np.log(60 / side), np.log(70 / side)]
            np.testing.assert_allclose(target, expected, atol=1e-6)
        else:
            assert not target.any()
    assert (labels == 1).any() and (labels == 0).any() and (labels == -1).any()


def test_fewer_anchors_an_image():
    _, labels, _ = anchor_targets([400, 500], NO_OBJECTS, SEED, ProposalOptions(scales=(2,)), 64)
    assert labels.shape == (64,)


def test_the_batch_does_not_matter():
    """Its own size addresses an image's anchors, whatever else is in the batch."""
    sizes = [(300, 400), (200, 600)]
    objects = np.float32([[20, 30, 170, 180]])
    options = ProposalOptions((4, 8))
    base = options.base()
    for size in sizes:
        boxes, index = inside_anchors(tf.constant(size), base, 16)
        y, x, a = index.numpy().T
        np.testing.assert_array_equal(boxes, base[a] + 16 * np.stack([x, y, x, y], axis=1))
        drawn, labels, _ = anchor_targets(size, objects, SEED, options)
        rows, columns, _ = drawn.numpy()[labels.numpy() >= 0].T
        assert rows.max() < size[0] // 16 and columns.max() < size[1] // 16
