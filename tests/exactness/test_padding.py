"""Images of different sizes in one batch: what stands beyond an image's own border counts nowhere.

The feature maps of a batch are as large as its largest image, lists of proposals and objects as
long as its longest.
"""

import numpy as np
import pytest

from keras_frcnn.batches.anchor_pipeline import anchor_dataset
from keras_frcnn.models.anchors import anchor_boxes
from keras_frcnn.models.joint_sampling import SampleRoIs
from keras_frcnn.models.propose import Propose
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.sampling import sample_rois
from keras_frcnn.settings import Settings
from tests.exactness import numpy_proposals
from tests.images import colored_rectangles

slow = pytest.mark.slow
HUGE = np.float32(1e30)
SIZES = [(224, 330), (275, 262)]  # of 14 x 20 and 17 x 16 whole cells, and 5 and more pixels
SCALES = np.array([[0.5, 0.4], [0.7, 0.8]], np.float32)  # scaled pixels in an original one


def dense_map(rows, columns, seed, is_blank):
    rng = np.random.default_rng(seed)
    shape = (1, 1, 9) if is_blank else (rows, columns, 9)
    scores = rng.normal(0, 3, (*shape, 2)).astype(np.float32)
    deltas = rng.normal(0, 0.3, (*shape, 4)).astype(np.float32)
    deltas[..., 2:] = rng.choice(numpy_proposals.exponents(256), (*shape, 2))
    return [np.broadcast_to(x, (rows, columns, *x.shape[2:])) for x in (scores, deltas)]


def embedded(x, rows, columns, value):
    padding = [(0, rows - x.shape[0]), (0, columns - x.shape[1]), (0, 0), (0, 0)]
    return np.pad(x, padding, constant_values=value)


@pytest.mark.parametrize("is_blank", [False, True])
@pytest.mark.parametrize("moved", [HUGE, 0])  # 0: anchors stay where they reach into the image
@pytest.mark.parametrize("pre, post", [(None, 100), (700, 100), (700, 700)])
def test_proposals_of_a_batch_are_those_of_each_image_alone(is_blank, moved, pre, post):
    layer = Propose((8, 16, 32), (0.5, 1, 2), pre_nms=pre, post_nms=post)
    maps = [dense_map(h // 16, w // 16, seed, is_blank) for seed, (h, w) in enumerate(SIZES)]
    assert [m[0].shape[:2] for m in maps] == [(14, 20), (17, 16)]
    scores = np.stack([embedded(m[0], 18, 21, HUGE) for m in maps])
    scores[..., 0][scores[..., 0] == HUGE] = 0  # beyond the border: certainly an object
    deltas = np.stack([embedded(m[1], 18, 21, moved) for m in maps])
    together = layer(scores, deltas, np.array(SIZES), SCALES)
    for i, (scores, deltas) in enumerate(maps):
        alone = layer(scores[None], deltas[None], np.array(SIZES[i : i + 1]), SCALES[i : i + 1])
        np.testing.assert_array_equal(together[0][i], alone[0][0])
        np.testing.assert_allclose(together[1][i], alone[1][0], rtol=1e-6)
        expected, _ = numpy_proposals.propose(scores, deltas, SIZES[i], SCALES[i], pre, post)
        count = int(np.sum(together[1][i] > 0))
        np.testing.assert_array_equal(together[0][i, :count], expected)
        assert 5 < count and (count < post or post == 100)


def test_targets_of_a_batch_are_those_of_each_image_alone(tmp_path):
    """Index (y, x, a) means the same anchor in a map of another width."""
    boxes = [[(20, 12, 70, 44), (75, 1, 118, 60)], [(5, 60, 40, 110)], [(30, 30, 62, 62)]]
    dataset = colored_rectangles(tmp_path, [(60, 120), (121, 57), (90, 88)], boxes)
    options = ProposalOptions(scales=(1, 2, 3), stride=16)
    settings = {"detector": "faster_rcnn", "min_side": (130,), "max_side": 200, "seed": 4}

    def batches(images_per_batch, count):
        made = anchor_dataset(
            dataset, (0, 0, 0), options, Settings(**settings, images_per_batch=images_per_batch)
        )
        return list(made.take(count).as_numpy_iterator())

    singles = batches(1, 9)
    sizes = set()
    for b, (x, y) in enumerate(batches(3, 3)):
        height, width = x["images"].shape[1:3]
        for i in range(3):
            alone, alone_y = singles[3 * b + i]
            own = alone["images"].shape[1:3]
            assert own == tuple(x["image_sizes"][i])
            sizes |= {own, (height, width)}
            np.testing.assert_array_equal(x["anchors"][i], alone["anchors"][0])
            np.testing.assert_array_equal(y["rpn_bbox_pred"][i], alone_y["rpn_bbox_pred"][0])
            labels, anchors = (
                y["rpn_cls_score"][i],
                anchor_boxes(x["anchors"][i], options.base(), 16),
            )
            real = labels >= 0
            assert real.sum() > 100 and (labels == 1).any()
            assert np.min(anchors[real]) >= 0
            assert (np.max(anchors[real], axis=0)[2:] <= own[::-1]).all()
            check_targets(anchors.numpy(), y["rpn_bbox_pred"][i], x["gt_boxes"][i])
    assert len(sizes) > 3


def check_targets(anchors, rows, gt_boxes):
    """The targets of positive anchors lead to objects of the image, those of others nowhere."""
    positive = rows[:, 0] == 1
    assert not rows[~positive, 1:].any()
    size = anchors[positive, 2:] - anchors[positive, :2]
    center = anchors[positive, :2] + size / 2 + rows[positive, 1:3] * size
    half = size * np.exp(rows[positive, 3:]) / 2
    moved = np.concatenate([center - half, center + half], axis=1)
    distance = np.abs(moved[:, None] - gt_boxes).max(axis=-1)
    assert (distance.min(axis=1) < 1e-3).all()
    is_object = (gt_boxes[:, 2:] > gt_boxes[:, :2]).all(axis=1)
    assert is_object[distance.argmin(axis=1)].all()


@pytest.mark.parametrize(
    "real, rows, images",  # 60 proposals are fewer than RoIs; in all 100 000 of these
    [(60, 300, 50), (250, 300, 50), *(pytest.param(r, 2000, 782, marks=slow) for r in (60, 700))],
)
def test_padding_is_never_drawn(real, rows, images):
    rng = np.random.default_rng(real)
    proposals = np.full((rows, 4), -1, np.float32)
    corner = rng.integers(0, 300, (real, 2))
    proposals[:real] = np.concatenate([corner, corner + rng.integers(1, 200, (real, 2))], axis=1)
    gt_boxes = np.zeros((9, 4), np.float32)
    gt_boxes[:3] = [[10, 10, 110, 120], [200, 50, 320, 210], [90, 200, 190, 299]]
    gt_classes = np.array([3, 5, 3] + [0] * 6, np.int32)
    known = {tuple(box) for box in np.concatenate([proposals[:real], gt_boxes[:3]])}

    seeds = np.stack([np.arange(images), np.full(images, real)], axis=1).astype(np.int32)
    batch = [np.repeat(x[None], images, axis=0) for x in (proposals, gt_boxes, gt_classes)]
    sampled = [x.numpy() for x in SampleRoIs(128, 0.0)(*batch, seeds)]
    for i in (0, images - 1):
        alone = sample_rois(proposals, gt_boxes, gt_classes, seeds[i], 128, bg_iou=(0.0, 0.5))
        for a, b in zip(sampled, alone, strict=True):
            np.testing.assert_array_equal(a[i], b)
    rois, labels, targets = sampled
    drawn = labels >= 0
    assert {tuple(box) for box in np.unique(rois[drawn], axis=0)} == known  # each comes up
    assert set(labels[labels > 0]) == {3, 5}
    assert not rois[~drawn].any() and not targets[labels < 1].any()
    assert np.isfinite(targets).all()
    per_image, fg = drawn.sum(axis=1), (labels > 0).sum(axis=1)
    assert (per_image == min(128, real + 3)).all()
    assert fg.min() >= 3 and fg.max() <= 32
