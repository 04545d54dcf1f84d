"""What a set of anchors has to learn from in a data set, counted before any training.

Shape letters: N scaled images, M their objects, A anchors a cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.batches.anchor_targets import assign_anchors
from keras_frcnn.batches.scaled_objects import ScaledObjects
from keras_frcnn.models.anchors import inside_anchors, inside_cells


@dataclass(frozen=True, eq=False)
class AnchorStatistics:
    """The anchors inside the images of a data set and their labels, before any is drawn."""

    base: np.ndarray  # [A, 4], the anchors of the first cell
    images: int  # N
    inside: np.ndarray  # int [A], places of each anchor inside images
    positives: np.ndarray  # int [A], how many of these are positive
    poor: int  # positives whose highest IoU is below 0.3: the best of some object, but far from it
    best_iou: np.ndarray  # float32 [M], the highest IoU of an anchor inside with each object
    tied: int  # objects with several anchors of that IoU
    without_anchors: tuple[str, ...]  # files of images too small for any of the anchors

    @property
    def idle(self) -> np.ndarray:
        """Which anchors [A] never learn what an object is: they are positive nowhere."""
        return np.flatnonzero(self.positives == 0)

    @property
    def untouched(self) -> int:
        """How many objects no anchor touches."""
        return int((self.best_iou == 0).sum())

    @property
    def positives_per_image(self) -> float:
        """How many anchors of an image are positive, on average."""
        return float(self.positives.sum() / self.images)

    @property
    def poor_share(self) -> float:
        """The share of positives whose highest IoU is below 0.3; 0 without any."""
        return float(self.poor / max(self.positives.sum(), 1))

    def reached(self, iou: float) -> float:
        """The share of objects that some anchor overlaps by `iou` or more."""
        return float((self.best_iou >= iou).mean())


class ImageCounts(NamedTuple):
    """As in `AnchorStatistics`, of one image."""

    positives: np.ndarray  # [A]
    poor: int
    best_iou: np.ndarray  # [M_n]
    tied: int


def anchor_statistics(objects: ScaledObjects, base: np.ndarray, stride: int) -> AnchorStatistics:
    """Count the anchors inside the images of a data set, and label them all.

    It takes about a millisecond an image of 600 x 1000 pixels.

    Args:
        objects: of the data set, scaled as in training.
        base, stride: the anchors, as for `anchors.anchor_grid`.
    """
    counts = list(count_positives(objects, base, stride))
    first, last = inside_cells(objects.sizes, base, stride)
    inside = np.prod(np.maximum(last - first + 1, 0), axis=2)
    return AnchorStatistics(
        base,
        len(counts),
        inside.sum(axis=0),
        np.sum([c.positives for c in counts], axis=0),
        sum(c.poor for c in counts),
        np.concatenate([c.best_iou for c in counts]),
        sum(c.tied for c in counts),
        images_without_anchors(objects, base, stride),
    )


def count_positives(
    objects: ScaledObjects, base: np.ndarray, stride: int, bg_iou: float = 0.3
) -> Iterator[ImageCounts]:
    """The counts of one image after the other, by the rules of `assign_anchors`."""
    base, stride, bg_iou = tf.constant(base), tf.constant(stride), tf.constant(bg_iou)
    for size, boxes in zip(objects.sizes, objects.by_image(), strict=True):
        counts = _count(size, boxes, base, stride, bg_iou)
        positives, poor, best, tied = (x.numpy() for x in counts)
        yield ImageCounts(positives, int(poor), best, int(tied))


@tf.function(
    input_signature=[
        tf.TensorSpec([2], tf.int32),
        tf.TensorSpec([None, 4]),
        tf.TensorSpec([None, 4]),
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([]),
    ]
)
def _count(size, gt_boxes, base, stride, bg_iou):
    anchors, index = inside_anchors(size, base, stride)
    labels, _ = assign_anchors(anchors, gt_boxes, bg_iou=bg_iou)
    is_positive = labels == 1
    kinds = tf.boolean_mask(index[:, 2], is_positive)
    iou = box_ops.pairwise_iou(anchors, gt_boxes)
    best = tf.maximum(tf.reduce_max(iou, axis=0), 0)  # of no anchor it is -inf
    ties = tf.math.count_nonzero((iou == best) & (best > 0), axis=0)
    count = tf.shape(base)[0]
    return (
        tf.math.bincount(kinds, minlength=count, maxlength=count),
        tf.math.count_nonzero(is_positive & (tf.reduce_max(iou, axis=1) < bg_iou)),
        best,
        tf.math.count_nonzero(ties > 1),
    )


def images_without_anchors(
    objects: ScaledObjects, base: np.ndarray, stride: int
) -> tuple[str, ...]:
    """The files, once each, of images too small for any anchor at one of the scales."""
    first, last = inside_cells(objects.sizes, base, stride)
    has_one = (last >= first).all(axis=2).any(axis=1)
    names = (n for n, has in zip(objects.filenames, has_one, strict=True) if not has)
    return tuple(dict.fromkeys(names))
