"""The windows of a step of R-CNN's fine-tuning (Girshick et al. 2014, section 2.3).

They are drawn over the whole training set, so that a step sees as many images as windows.
"""

from typing import NamedTuple

import numpy as np

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.numpy_boxes import pairwise_iou

FOREGROUND_IOU = 0.5


class Windows(NamedTuple):
    """Windows and what they show; n of them."""

    images: np.ndarray  # int64 [n], places in the data set
    boxes: np.ndarray  # float32 [n, 4], in pixels of the image
    labels: np.ndarray  # int32 [n], 0 for background
    is_mirrored: np.ndarray  # bool [n]


class WindowSampler:
    """Foreground and background windows of a training set, drawn with replacement.

    Foreground are proposals and objects whose best IoU with an object is at least 0.5, background
    are the others down to `bg_iou_low`. Difficult objects are none.

    Args:
        images: with their proposals.
        foreground, background: windows of a step; the paper's 32 and 96.
        bg_iou_low: 0 for R-CNN, 0.1 for SPPnet.
        seed: a step's windows are a function of it and the step.

    Raises:
        InputError: there is no foreground, or no background.
    """

    def __init__(
        self,
        images: ImageSet,
        foreground: int = 32,
        background: int = 96,
        bg_iou_low: float = 0.0,
        seed: int = 0,
    ):
        self.counts, self.seed = (foreground, background), seed
        found = [_labelled(images, i, bg_iou_low) for i in range(len(images.dataset.images))]
        places = np.repeat(np.arange(len(found)), [len(labels) for _, labels in found])
        boxes = np.concatenate([boxes for boxes, _ in found])
        labels = np.concatenate([labels for _, labels in found])
        self._sets = []
        for name, chosen in (("foreground", labels > 0), ("background", labels == 0)):
            if not chosen.any():
                raise InputError(
                    f"proposals: {images.dataset.name} has no {name} windows to train on"
                )
            self._sets.append((places[chosen], boxes[chosen], labels[chosen]))

    def draw(self, step: int) -> Windows:
        """The windows of step number `step`, foreground first."""
        rng = np.random.default_rng((self.seed, step))
        parts = []
        for count, columns in zip(self.counts, self._sets, strict=True):
            rows = rng.integers(len(columns[0]), size=count)
            parts.append([column[rows] for column in columns])
        images, boxes, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Windows(images, boxes, labels, rng.random(len(images)) < 0.5)


def _labelled(images: ImageSet, i: int, bg_iou_low: float) -> tuple[np.ndarray, np.ndarray]:
    """The windows of an image, [B, 4], and their classes [B], -1 for what is neither."""
    record = images.dataset.images[i]
    gt_boxes = record.boxes[~record.is_difficult]
    boxes = np.concatenate([images.proposals[i], gt_boxes]).astype(np.float32)
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    if not len(gt_boxes):
        return boxes, np.full(len(boxes), 0 if bg_iou_low == 0 else -1, np.int32)
    iou = pairwise_iou(boxes, gt_boxes)
    best, overlap = iou.argmax(axis=1), iou.max(axis=1)
    labels = np.where(overlap >= bg_iou_low, 0, -1)
    classes = record.labels[~record.is_difficult][best]
    return boxes, np.where(overlap >= FOREGROUND_IOU, classes, labels).astype(np.int32)
