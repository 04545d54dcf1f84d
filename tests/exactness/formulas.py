"""The paper's formulas in NumPy and rational numbers, written from the paper alone.

Nothing here imports the package: these are what the package is compared with. Boxes are
(x1, y1, x2, y2), continuous pixels, width = x2 - x1.
"""

from fractions import Fraction

import numpy as np


def iou(a, b) -> Fraction:
    """Intersection over union of two boxes of integers, exact."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return Fraction(int(intersection), int(union)) if union else Fraction(0)


def encode(roi, gt):
    """R-CNN's (tx, ty, tw, th) of one RoI P and its object G (Girshick 2014, appendix C)."""
    px, py, pw, ph = _center_form(roi)
    gx, gy, gw, gh = _center_form(gt)
    return np.array([(gx - px) / pw, (gy - py) / ph, np.log(gw / pw), np.log(gh / ph)])


def _center_form(box):
    x1, y1, x2, y2 = (float(v) for v in box)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def label(rois, gt_boxes, gt_classes):
    """Label of every RoI by section 2.3 (None: never drawn), and its regression target."""
    labels, targets = [], []
    for roi in rois:
        overlaps = [iou(roi, gt) for gt in gt_boxes]
        best = max(range(len(overlaps)), key=overlaps.__getitem__)
        if overlaps[best] >= Fraction(1, 2):
            labels.append(int(gt_classes[best]))
            targets.append(encode(roi, gt_boxes[best]))
        else:
            labels.append(0 if overlaps[best] >= Fraction(1, 10) else None)
            targets.append(np.zeros(4))
    return labels, targets


def log_loss(logits, labels):
    """Mean over the real RoIs (label >= 0) of -log p_u, and its gradient by the logits.

    The derivative of -log softmax(z)_u by z_k is p_k - [k = u].
    """
    count = sum(u >= 0 for u in np.ravel(labels))
    loss, gradient = 0.0, np.zeros(logits.shape)
    for i in np.ndindex(labels.shape):
        if labels[i] >= 0:
            e = np.exp(logits[i].astype(np.float64) - logits[i].max())
            p = e / e.sum()
            loss -= np.log(p[labels[i]]) / count
            gradient[i] = p / count
            gradient[i][labels[i]] -= 1 / count
    return loss, gradient


def box_loss(normalised, labels, v, lam):
    """lambda * mean over the real RoIs of [u >= 1] smooth_L1(t^u - v), and its gradient by t.

    Args:
        normalised: t [N, R, K, 4], what the network predicts: normalised targets.
        v: [N, R, 4], the normalised target of every RoI.
    """
    count = sum(u >= 0 for u in np.ravel(labels))
    loss, gradient = 0.0, np.zeros(normalised.shape)
    for i in np.ndindex(labels.shape):
        u = labels[i]
        if u >= 1:
            for j in range(4):
                x = float(normalised[i][u - 1, j]) - float(v[i][j])
                loss += lam * (0.5 * x * x if abs(x) < 1 else abs(x) - 0.5) / count
                gradient[i][u - 1, j] = lam * (x if abs(x) < 1 else np.sign(x)) / count
    return loss, gradient


def rpn_box_loss(deltas, labels, targets, weight=1.0, steepness=3.0):
    """weight / (number sampled) * sum over positives of h_s(d - t), and its gradient by d.

    h_s(x) = s^2 x^2 / 2 where |x| < 1 / s^2, else |x| - 1 / (2 s^2): the smooth L1 of the authors'
    Faster R-CNN.

    Args:
        deltas, targets: d and t, [N, S, 4].
        labels: [N, S], 1 of an object, 0 of background, -1 of padding.
    """
    square = steepness**2
    error = np.asarray(deltas, np.float64) - targets
    is_small = np.abs(error) < 1 / square
    losses = np.where(is_small, square * error**2 / 2, np.abs(error) - 0.5 / square)
    slopes = np.where(is_small, square * error, np.sign(error))
    factor = weight / np.sum(labels >= 0) * (labels == 1)[..., None]
    return np.sum(factor * losses), factor * slopes


def rate_at(step, base, drops, factor=0.1, warmup=0):
    """The rate of mini-batch `step` (from 0): up in equal stairs, then down by `factor`."""
    rate = base
    for drop in drops:
        if step >= drop:
            rate *= factor
    return rate * (step + 1) / warmup if step < warmup else rate


class Solver:
    """Caffe's SGD in float64 on a list of weights: V = mu V + rate (g + decay w); w = w - V."""

    def __init__(self, weights, is_bias, momentum=0.9, decay=0.0005, bias_decay=True):
        self.weights = [np.array(w, np.float64) for w in weights]
        self.velocity = [np.zeros_like(w) for w in self.weights]
        self.is_bias = is_bias
        self.momentum, self.decay, self.bias_decay = momentum, decay, bias_decay

    def step(self, gradients, rate):
        """One update in place; biases move at twice the rate."""
        for i, g in enumerate(gradients):
            local_rate = 2 * rate if self.is_bias[i] else rate
            decay = self.decay if self.bias_decay or not self.is_bias[i] else 0.0
            regularised = np.asarray(g, np.float64) + decay * self.weights[i]
            self.velocity[i] = self.momentum * self.velocity[i] + local_rate * regularised
            self.weights[i] = self.weights[i] - self.velocity[i]
