"""Anchors, their labels and targets in NumPy, written from the rules of Ren et al. 2015.

Nothing here imports the package: these are what the package is compared with. All is float32 with
one rounding an operation, in the order in which the package computes: labels depend on ties.
"""

import numpy as np

F = np.float32
FG_IOU, BG_IOU = F(0.7), F(0.3)


def inside(size, base, rounded_up=False):
    """Boxes [I, 4] and places (y, x, a) [I, 3] of the anchors wholly inside an image.

    Args:
        size: (height, width).
        base: anchors [A, 4] of the first cell.
        rounded_up: whether a rest of less than 16 pixels has a cell, as Caffe's pools give it one.
    """
    height, width = size
    stride = 16
    cells = [-(-n // stride) if rounded_up else max(n // stride, 1) for n in size]
    places = np.argwhere(np.ones((*cells, len(base)), bool))
    boxes = (base[places[:, 2]] + stride * places[:, [1, 0, 1, 0]]).astype(F)
    is_inside = (boxes[:, 0] >= 0) & (boxes[:, 1] >= 0)
    is_inside &= (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
    return boxes[is_inside], places[is_inside]


def overlaps(anchors, objects):
    """IoU [I, M]: intersection over (area + area - intersection)."""
    ax1, ay1, ax2, ay2 = anchors.astype(F).T[..., None]
    gx1, gy1, gx2, gy2 = objects.astype(F).T
    width = np.maximum(np.minimum(ax2, gx2) - np.maximum(ax1, gx1), F(0))
    height = np.maximum(np.minimum(ay2, gy2) - np.maximum(ay1, gy1), F(0))
    intersection = width * height
    union = (ax2 - ax1) * (ay2 - ay1) + (gx2 - gx1) * (gy2 - gy1) - intersection
    return intersection / union


def assign(iou):
    """Labels [I] (1, 0, -1 for neither) and matched objects [I] of an IoU matrix [I, M]."""
    count, objects = iou.shape
    if not objects:
        return np.zeros(count, int), np.zeros(count, int)
    labels = np.full(count, -1)
    highest = iou.max(axis=1)
    labels[highest < BG_IOU] = 0
    for column in iou.T:  # each object's best anchors, all of equals
        if count and column.max() > 0:
            labels[column == column.max()] = 1
    labels[highest >= FG_IOU] = 1
    return labels, iou.argmax(axis=1)  # the first of equals


def encode(anchors, objects):
    """Targets (tx, ty, tw, th) [I, 4] that take each anchor to the object in its row."""
    size, gt_size = anchors[:, 2:] - anchors[:, :2], objects[:, 2:] - objects[:, :2]
    center = anchors[:, :2] + F(0.5) * size
    gt_center = objects[:, :2] + F(0.5) * gt_size
    return np.hstack([(gt_center - center) / size, np.log(gt_size / size)])
