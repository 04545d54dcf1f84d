"""How many objects the proposals find: what limits any detector that starts from them."""

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
    best = [np.zeros(0)]
    for boxes, record in zip(images.proposals, images.dataset.images, strict=True):
        gt_boxes = record.boxes[~record.is_difficult]
        best.append(pairwise_iou(gt_boxes, boxes).max(axis=1, initial=0))
    best = np.concatenate(best)
    return float(np.mean(2 * np.maximum(best - 0.5, 0))) if len(best) else float("nan")


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
