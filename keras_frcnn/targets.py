"""Mean and standard deviation of the regression targets of a training set."""

import numpy as np

from keras_frcnn import boxes as box_ops
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.sampling import assign

# Less spread than this is none to normalise by: the proposals of a class agree in a coordinate with
# their objects, or there are none.
_MIN_STD = 1e-4


def target_statistics(
    dataset: Dataset, proposals: list[np.ndarray], fg_iou: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Per-class statistics of every foreground RoI's targets, as the released code takes them.

    All proposals and ground-truth boxes with IoU >= `fg_iou` count, in the image and in its
    mirror image; difficult objects do not. Targets do not depend on the scale of the image.

    Args:
        dataset: K classes.
        proposals: [P, 4] for each image.

    Returns:
        mean [K, 4] and std [K, 4], float32. A std below 1e-4 becomes 1; a class without objects
        has mean 0 and std 1.
    """
    num_classes = len(dataset.class_names)
    count = np.zeros((num_classes, 1))
    total = np.zeros((num_classes, 4))
    squares = np.zeros((num_classes, 4))
    for record, image_proposals in zip(dataset.images, proposals, strict=True):
        gt_boxes = record.boxes[~record.is_difficult]
        gt_classes = record.labels[~record.is_difficult]
        if not len(gt_boxes):
            continue
        rois = np.concatenate([image_proposals, gt_boxes])
        overlap, best = (x.numpy() for x in assign(rois, gt_boxes))
        is_fg = overlap >= fg_iou
        targets = box_ops.encode(rois[is_fg], gt_boxes[best[is_fg]]).numpy().astype(np.float64)
        index = gt_classes[best[is_fg]] - 1
        for t in (targets, targets * [-1, 1, 1, 1]):  # the image, and its mirror image
            np.add.at(count, index, 1)
            np.add.at(total, index, t)
            np.add.at(squares, index, t**2)
    mean = total / np.maximum(count, 1)
    std = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0))
    return mean.astype(np.float32), np.where(std < _MIN_STD, 1, std).astype(np.float32)
