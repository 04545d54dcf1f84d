"""A small Fast R-CNN in NumPy: forward, loss and every gradient by the chain rule, in float64.

Written from the paper's figure 1 and section 2.3, without TensorFlow. Weights are a dictionary
from layer name to (kernel, bias), the layers being conv1..3, fc6, fc7, cls_score, bbox_deltas.
"""

import numpy as np

from keras_frcnn.custom_ops.reference import roi_pool_reference
from tests.exactness import formulas

STRIDES = {"conv1": 2, "conv2": 2, "conv3": 1}  # 3 x 3, zero padding as TensorFlow's "same"
TRUNK_STRIDE = 4
POOL = 2  # bins on each side
PIXEL_STD = 58.0  # of random weights' inputs
LAYERS = (*STRIDES, "fc6", "fc7", "cls_score", "bbox_deltas")


def forward(weights, images, rois):
    """Class scores [N, R, K + 1], normalised offsets [N, R, K, 4] and what `backward` needs."""
    saved = {}
    features = trunk_forward(weights, images, saved)
    return *head_forward(weights, features, rois, saved), saved


def trunk_forward(weights, images, saved):
    """The feature map [N, H', W', C]; adds to `saved` what `trunk_backward` needs."""
    x = images.astype(np.float64) / PIXEL_STD
    for name, stride in STRIDES.items():
        saved[name] = x
        x = convolve(x, *weights[name], stride)
        saved[name, "before"] = x
        x = np.maximum(x, 0)
    return x


def head_forward(weights, features, rois, saved):
    """Scores and offsets; adds to `saved` what `head_backward` needs."""
    saved |= {"features": features, "rois": rois}
    n, r = rois.shape[:2]
    index = np.repeat(np.arange(n), r)[:, None]
    flat = np.concatenate([index, rois.reshape(-1, 4)], axis=1).astype(np.float32)
    x, saved["argmax"] = roi_pool_reference(features, flat, POOL, POOL, 1 / TRUNK_STRIDE)
    x = x.reshape(n * r, -1)
    for name in ("fc6", "fc7"):
        saved[name] = x
        x = x @ weights[name][0] + weights[name][1]
        saved[name, "before"] = x
        x = np.maximum(x, 0)
    saved["heads"] = x
    scores, offsets = (x @ weights[k][0] + weights[k][1] for k in ("cls_score", "bbox_deltas"))
    return scores.reshape(n, r, -1), offsets.reshape(n, r, -1, 4)


def backward(weights, saved, scores_gradient, offsets_gradient):
    """Gradients of all weights from those of the two outputs."""
    gradients, d = head_backward(weights, saved, scores_gradient, offsets_gradient)
    return gradients | trunk_backward(weights, saved, d)


def head_backward(weights, saved, scores_gradient, offsets_gradient):
    """Gradients of the weights behind RoI pooling, and that of the features."""
    gradients = {}
    x = saved["heads"]
    d_scores = scores_gradient.reshape(len(x), -1)
    d_offsets = offsets_gradient.reshape(len(x), -1)
    gradients["cls_score"] = x.T @ d_scores, d_scores.sum(axis=0)
    gradients["bbox_deltas"] = x.T @ d_offsets, d_offsets.sum(axis=0)
    d = d_scores @ weights["cls_score"][0].T + d_offsets @ weights["bbox_deltas"][0].T
    for name in ("fc7", "fc6"):
        d = d * (saved[name, "before"] > 0)
        gradients[name] = saved[name].T @ d, d.sum(axis=0)
        d = d @ weights[name][0].T
    return gradients, _unpool(d.reshape(saved["argmax"].shape), saved)


def trunk_backward(weights, saved, d):
    """Gradients of the trunk's weights from that of the features."""
    gradients = {}
    for name in reversed(STRIDES):
        d = d * (saved[name, "before"] > 0)
        d, *gradients[name] = convolve_backward(d, saved[name], weights[name][0], STRIDES[name])
    return gradients


def loss_and_gradients(weights, images, rois, labels, targets, mean, std, lam):
    """The multi-task loss of a mini-batch and the gradient of every weight.

    Args:
        labels: [N, R], -1 for padding.
        targets: [N, R, 4], not normalised; mean, std: [K, 4].
    """
    scores, offsets, saved = forward(weights, images, rois)
    u = np.maximum(labels - 1, 0)
    classification, d_scores = formulas.log_loss(scores, labels)
    regression, d_offsets = formulas.box_loss(offsets, labels, (targets - mean[u]) / std[u], lam)
    return classification + regression, backward(weights, saved, d_scores, d_offsets)


def convolve(x, kernel, bias, stride):
    """A 3 x 3 convolution of x [N, H, W, C]."""
    padded, (height, width) = _pad(x, stride)
    out = np.zeros((len(x), height, width, kernel.shape[3])) + bias
    for i, j in np.ndindex(3, 3):
        out += padded[:, i : i + height * stride : stride, j : j + width * stride : stride][
            :, :height, :width
        ] @ kernel[i, j].astype(np.float64)
    return out


def convolve_backward(d, x, kernel, stride):
    """The gradients of x, kernel and bias from that of the output."""
    padded, (height, width) = _pad(x, stride)
    d_padded, d_kernel = np.zeros(padded.shape), np.zeros(kernel.shape)
    for i, j in np.ndindex(3, 3):
        window = (
            slice(None),
            slice(i, i + (height - 1) * stride + 1, stride),
            slice(j, j + (width - 1) * stride + 1, stride),
        )
        d_kernel[i, j] = np.einsum("nhwc,nhwd->cd", padded[window], d)
        d_padded[window] += d @ kernel[i, j].T
    top, left = (_before(size, stride) for size in x.shape[1:3])
    d_x = d_padded[:, top : top + x.shape[1], left : left + x.shape[2]]
    return d_x, d_kernel, d.sum(axis=(0, 1, 2))


def _pad(x, stride):
    before = [_before(size, stride) for size in x.shape[1:3]]
    return np.pad(x, [(0, 0), (before[0], 2), (before[1], 2), (0, 0)]), [
        -(-size // stride) for size in x.shape[1:3]
    ]


def _before(size, stride):
    """Rows of zeros above the image: half of what a window of 3 reaches beyond it, rounded down."""
    return max((-(-size // stride) - 1) * stride + 3 - size, 0) // 2


def _unpool(d, saved):
    """Every bin's gradient goes to the cell its maximum came from."""
    d_features = np.zeros(saved["features"].shape)
    width = d_features.shape[2]
    rois_per_image = saved["rois"].shape[1]
    for k, i, j, c in np.ndindex(d.shape):
        cell = saved["argmax"][k, i, j, c]
        if cell >= 0:
            d_features[k // rois_per_image, cell // width, cell % width, c] += d[k, i, j, c]
    return d_features
