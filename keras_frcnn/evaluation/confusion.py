"""Which classes a detector takes for which: the confusion matrix of detection.

Shape letter: K object classes.
"""

from collections.abc import Sequence

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import check_detections
from keras_frcnn.numpy_boxes import pairwise_iou


def confusion_matrix(
    detections: Sequence[Detections],
    dataset: Dataset,
    min_score: float = 0.5,
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Count what the objects of each class are taken for.

    Detections from `min_score` on, the best first, take the object that they overlap most of
    those that are left, whatever its class, if the IoU is above `iou_threshold`. A difficult
    object is not counted, nor what takes it.

    Args:
        detections: one `Detections` an image.
        dataset: the ground truth.
        min_score, iou_threshold: from 0 to 1.

    Returns:
        int64 [K + 1, K + 1]: rows are the classes of objects, the last one nothing; columns those
        of detections, the last one missed.

    Raises:
        InputError: the detections do not fit the data set, or a threshold is outside 0 to 1.
    """
    for name, value in (("min_score", min_score), ("iou_threshold", iou_threshold)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; it must be from 0 to 1")
    check_detections(detections, dataset)
    nothing = len(dataset.class_names)
    counts = np.zeros((nothing + 1, nothing + 1), np.int64)
    for record, found in zip(dataset.images, detections, strict=True):
        found = found.above(min_score)
        iou = pairwise_iou(found.boxes, record.boxes)
        is_left = np.ones(len(record.labels), bool)
        for place in np.argsort(-found.scores, kind="stable"):
            row, predicted = np.where(is_left, iou[place], -1), found.classes[place] - 1
            best = int(row.argmax()) if len(row) else -1
            if best < 0 or row[best] <= iou_threshold:
                counts[nothing, predicted] += 1
                continue
            is_left[best] = False
            if not record.is_difficult[best]:
                counts[record.labels[best] - 1, predicted] += 1
        missed = record.labels[is_left & ~record.is_difficult] - 1
        np.add.at(counts, (missed, nothing), 1)
    return counts
