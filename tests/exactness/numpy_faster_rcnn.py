"""A small Faster R-CNN in NumPy: forward, the four losses and every gradient by the chain rule.

Written from Ren et al. 2015, without TensorFlow; in float64 but for the proposals, which are
float32. The layers are those of `numpy_fast_rcnn` and, on the same features, the three of the
region proposal network. As the approximate joint training has it, proposals are constants to the
gradient. So many RoIs are sampled that all candidates are, so that nothing is left to chance.
"""

import numpy as np

from tests.exactness import formulas, numpy_proposals
from tests.exactness.numpy_fast_rcnn import (
    LAYERS as FAST_RCNN_LAYERS,
)
from tests.exactness.numpy_fast_rcnn import (
    STRIDES,
    TRUNK_STRIDE,
    convolve,
    convolve_backward,
    head_backward,
    head_forward,
    trunk_backward,
    trunk_forward,
)

RPN = ("rpn_conv", "rpn_cls_score", "rpn_bbox_deltas")
RPN_LAYERS = (*STRIDES, *RPN)
LAYERS = (*RPN_LAYERS, *FAST_RCNN_LAYERS[len(STRIDES) :])
# Of a cell of 4 x 4 pixels: 6 x 3, 4 x 4 and 3 x 6 with sides rounded to even ones, and twice that.
BASE = np.array(
    [
        *([-1, 0, 5, 4], [-4, -1, 8, 5]),
        *([0, 0, 4, 4], [-2, -2, 6, 6]),
        *([0, -1, 4, 5], [-1, -4, 5, 8]),
    ],
    np.float32,
)


def rpn_loss_and_gradients(weights, images, anchors, labels, targets, weight):
    """Both losses of a region proposal network and the gradient of every weight.

    Args:
        anchors: [N, S, 3], rows (y, x, a) of the sampled anchors.
        labels: [N, S], 1, 0 and -1 for padding.
        targets: [N, S, 4].
        weight: of the box regression.
    """
    saved = {}
    features = trunk_forward(weights, images, saved)
    loss, gradients, d_features, _ = _rpn(
        weights, features, anchors, labels, targets, weight, saved
    )
    return loss, gradients | trunk_backward(weights, saved, d_features)


def joint_losses_and_gradients(
    weights, images, anchors, labels, targets, about, weight, options, mean, std, lam
):
    """The two losses of anchors, the two of RoIs, and the gradient of every weight.

    Args:
        about: a dictionary of image_sizes, box_scales, gt_boxes and gt_classes.
        options: of the proposals.
        mean, std, lam: of the box regression of RoIs.
    """
    saved = {}
    features = trunk_forward(weights, images, saved)
    rpn_loss, gradients, d_features, maps = _rpn(
        weights, features, anchors, labels, targets, weight, saved
    )
    rois, roi_labels, roi_targets = _all_rois(*maps, about, options)
    scores, offsets = head_forward(weights, features, rois, saved)
    u = np.maximum(roi_labels - 1, 0)
    normalised = (roi_targets - mean[u]) / std[u]
    cls_loss, d_scores = formulas.log_loss(scores, roi_labels)
    box_loss, d_offsets = formulas.box_loss(offsets, roi_labels, normalised, lam)
    head_gradients, d_more = head_backward(weights, saved, d_scores, d_offsets)
    gradients |= head_gradients | trunk_backward(weights, saved, d_features + d_more)
    return rpn_loss + cls_loss + box_loss, gradients, roi_labels


def _rpn(weights, features, anchors, labels, targets, weight, saved):
    """Loss, gradients of the RPN's weights and of the features, and the dense maps."""
    before = convolve(features, *weights["rpn_conv"], 1)
    hidden = np.maximum(before, 0)
    scores, deltas = (
        (hidden @ weights[name][0][0, 0] + weights[name][1]).reshape(
            *hidden.shape[:3], len(BASE), -1
        )
        for name in RPN[1:]
    )
    place = (np.arange(len(anchors))[:, None], *np.moveaxis(anchors, -1, 0))
    cls_loss, by_score = formulas.log_loss(scores[place], labels)
    box_loss, by_delta = formulas.rpn_box_loss(deltas[place], labels, targets, weight)
    gradients, d_hidden = {}, 0
    for name, shape, slope in zip(RPN[1:], (scores, deltas), (by_score, by_delta), strict=True):
        d = np.zeros(shape.shape)
        np.add.at(d, place, slope)  # two rows of padding may be one anchor
        d = d.reshape(*hidden.shape[:3], -1)
        gradients[name] = np.einsum("nhwc,nhwd->cd", hidden, d)[None, None], d.sum(axis=(0, 1, 2))
        d_hidden = d_hidden + d @ weights[name][0][0, 0].T
    d_hidden = d_hidden * (before > 0)
    d_features, *gradients["rpn_conv"] = convolve_backward(
        d_hidden, features, weights["rpn_conv"][0], 1
    )
    return cls_loss + box_loss, gradients, d_features, (scores, deltas)


def _all_rois(scores, deltas, about, options):
    """Every proposal and object of every image as RoIs, labels and targets; -1 is padding."""
    rows = []
    for i, size in enumerate(about["image_sizes"]):
        is_object = about["gt_classes"][i] > 0
        gt_boxes = about["gt_boxes"][i][is_object]
        proposals, _ = numpy_proposals.propose(
            scores[i].astype(np.float32),
            deltas[i].astype(np.float32),
            size,
            about["box_scales"][i],
            options.pre_nms_train,
            options.train,
            BASE,
            TRUNK_STRIDE,
            options.nms_iou,
            options.min_size,
        )
        for roi in np.concatenate([proposals, gt_boxes]):
            overlaps = [_iou(roi, gt) for gt in gt_boxes]
            best = int(np.argmax(overlaps))
            if overlaps[best] >= 0.5:
                label = about["gt_classes"][i][best]
                rows.append((i, roi, label, formulas.encode(roi, gt_boxes[best])))
            else:
                rows.append((i, roi, 0, np.zeros(4)))
    n = len(scores)
    most = max(sum(row[0] == i for row in rows) for i in range(n))
    rois, labels = np.zeros((n, most, 4), np.float32), np.full((n, most), -1)
    targets = np.zeros((n, most, 4))
    for i in range(n):
        for j, (_, *values) in enumerate(row for row in rows if row[0] == i):
            rois[i, j], labels[i, j], targets[i, j] = values
    return rois, labels, targets


def _iou(a, b):
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)
