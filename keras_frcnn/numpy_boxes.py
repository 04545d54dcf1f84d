"""Box geometry in NumPy, for what runs without TensorFlow; `keras_frcnn.boxes` has it in its ops.

Boxes are `(x1, y1, x2, y2)`, continuous pixels, width = x2 - x1.
"""

import numpy as np


def pairwise_iou(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: [A, 4], [B, 4] -> float64 [A, B], 0 for no union.

    An inverted box has no area.
    """
    boxes1, boxes2 = np.asarray(boxes1, np.float64), np.asarray(boxes2, np.float64)
    top_left = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    intersection = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    union = _area(boxes1)[:, None] + _area(boxes2)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _area(boxes):
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
