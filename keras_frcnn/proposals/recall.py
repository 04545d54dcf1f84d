"""How many objects the proposals find: what limits any detector that starts from them.

Shape letters: G objects of a data set that are not difficult, C numbers of proposals, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.numpy_boxes import pairwise_iou


def proposal_recall(images: ImageSet, iou_threshold: float = 0.5) -> np.ndarray:
    """The share of each class's objects that some proposal overlaps by `iou_threshold` or more.

    Difficult objects are left out. Returns float64 [K], NaN for a class without objects.
    """
    found, objects = _count_objects(images, iou_threshold)
    return np.divide(found, objects, out=np.full_like(found, np.nan), where=objects > 0)


def total_recall(images: ImageSet, iou_threshold: float = 0.5) -> float:
    """The same share of the objects of all classes together; NaN without any."""
    found, objects = _count_objects(images, iou_threshold)
    return float(found.sum() / objects.sum()) if objects.any() else float("nan")


def average_recall(images: ImageSet) -> float:
    """The mean of `total_recall` over IoU thresholds from 0.5 to 1; NaN without any object.

    Twice the area under the curve of recall over IoU (Hosang et al. 2016, "What makes for
    effective detection proposals?"; paper section 5.5), which is the mean over the objects of
    2 * max(IoU - 0.5, 0), where the IoU is that with the nearest proposal.
    """
    most = max(map(len, images.proposals), default=0)
    return float(ranked_recall(images, [max(most, 1)]).average()[0])


# Areas of boxes in pixels of the photograph, as COCO divides them.
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}


@dataclass(frozen=True, eq=False)
class RankedRecall:
    """What the first n proposals of each image find, for several n.

    It says something of a ranking only where the proposals come best first, as those of a region
    proposal network do; selective search has a random order.
    """

    counts: tuple[int, ...]  # the numbers n, [C]
    mean_counts: np.ndarray  # [C] float64: proposals that an image has, of at most n
    overlaps: np.ndarray  # [G, C] float64: IoU of each object with the nearest of them, 0 for none
    labels: np.ndarray  # [G] int: the class of each object, 1..K
    areas: np.ndarray  # [G] float64: pixels of its box

    def at(self, ious: Sequence[float]) -> np.ndarray:
        """The share of objects overlapped by so much or more: [C, T]; NaN without any object."""
        hits = self.overlaps[..., None] >= np.asarray(ious, np.float64)
        return _mean(hits.astype(np.float64))

    def of_class(self, k: int) -> "RankedRecall":
        """Of the objects of class k alone."""
        return self._of(self.labels == k)

    def of_size(self, name: str) -> "RankedRecall":
        """Of the objects of one of `SIZES` alone; the upper limit is not in it."""
        low, high = SIZES[name]
        return self._of((self.areas >= low) & (self.areas < high))

    def _of(self, chosen: np.ndarray) -> "RankedRecall":
        parts = self.overlaps[chosen], self.labels[chosen], self.areas[chosen]
        return RankedRecall(self.counts, self.mean_counts, *parts)

    def average(self) -> np.ndarray:
        """`average_recall` of the first n: [C]; NaN without any object."""
        return _mean(2 * np.maximum(self.overlaps - 0.5, 0))


def ranked_recall(images: ImageSet, counts: Sequence[int]) -> RankedRecall:
    """Compare the objects of each image with its first n proposals, for each n of `counts`."""
    counts = tuple(counts)
    overlaps = [np.zeros((0, len(counts)))]
    labels, areas = [np.zeros(0, int)], [np.zeros(0)]
    for boxes, record in zip(images.proposals, images.dataset.images, strict=True):
        objects = record.boxes[~record.is_difficult].astype(np.float64)
        labels.append(record.labels[~record.is_difficult])
        areas.append(np.prod(objects[:, 2:] - objects[:, :2], axis=1))
        iou = pairwise_iou(objects, boxes[: max(counts)])
        overlaps.append(np.stack([iou[:, :n].max(axis=1, initial=0) for n in counts], axis=1))
    available = np.array([len(boxes) for boxes in images.proposals], np.float64)
    mean_counts = np.array([_mean(np.minimum(available, n)) for n in counts])
    parts = map(np.concatenate, (overlaps, labels, areas))
    return RankedRecall(counts, mean_counts, *parts)


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis; NaN where there is nothing."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1:], np.nan)


def _count_objects(images, iou_threshold) -> tuple[np.ndarray, np.ndarray]:
    """How many objects of each class are found, and how many there are, both [K]."""
    objects = np.zeros(len(images.dataset.class_names))
    found = np.zeros(len(images.dataset.class_names))
    for boxes, record in zip(images.proposals, images.dataset.images, strict=True):
        counted = ~record.is_difficult
        gt_boxes, classes = record.boxes[counted], record.labels[counted] - 1
        hit = (pairwise_iou(gt_boxes, boxes) >= iou_threshold).any(axis=1)
        np.add.at(objects, classes, 1)
        np.add.at(found, classes, hit)
    return found, objects
