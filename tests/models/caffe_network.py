"""A detector in NumPy as Caffe computes it, of the layers of VGG16's but few and narrow.

Maps are [N, C, H, W], inner products read regions as (C, row, column), there are offsets for the
background too. Written from the layers' definitions and the networks of py-faster-rcnn, without
TensorFlow.

Shape letters: N images, R RoIs, A anchors a cell, K object classes.
"""

import math

import numpy as np
from keras import layers

from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.trunks import Trunk

STRIDE = 4
CELLS = (3, 2)  # rows and columns of a pooled region
FC_UNITS = (7, 6)
ANCHOR_OPTIONS = ProposalOptions(scales=(2, 4, 8), ratios=(1,))
ANCHORS = 3
_RPN_CHANNELS = 8
_CONVOLUTIONS = {"conv1_1": (3, 4), "conv1_2": (4, 5), "conv2_1": (5, 6), "conv3_1": (6, 5)}
_POOL_AFTER = ("conv1_2", "conv2_1")


def _trunk(x):
    for name, (_, channels) in _CONVOLUTIONS.items():
        keras_name = f"block{name[4]}_conv{name[6]}"
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=keras_name)(x)
        if name in _POOL_AFTER:
            x = layers.MaxPooling2D(2, name=f"block{name[4]}_pool")(x)
    return x


TRUNK = Trunk(
    _trunk,
    STRIDE,
    pool_size=CELLS,
    fc_units=FC_UNITS,
    rpn_channels=_RPN_CHANNELS,
    parts={name: (f"block{name[4]}_conv{name[6]}",) for name in _CONVOLUTIONS},
    finetune_from="conv2_1",
    renamed={"fc6": "fc1", "fc7": "fc2"},
)


def random_layers(num_classes, seed=0):
    """(name, type, arrays) of each layer, as `caffe_files.write_caffemodel` takes them.

    Those without weights are among them.
    """
    rng = np.random.default_rng(seed)

    def convolution(inputs, outputs, size):
        scale = 1 / math.sqrt(inputs * size * size)
        return [rng.normal(0, scale, (outputs, inputs, size, size)), rng.normal(0, 0.1, outputs)]

    def inner_product(inputs, outputs):
        scale = 1 / math.sqrt(inputs)
        return [rng.normal(0, scale, (outputs, inputs)), rng.normal(0, 0.1, outputs)]

    found = []
    for name, (inputs, outputs) in _CONVOLUTIONS.items():
        found.append((name, "Convolution", convolution(inputs, outputs, 3)))
        found.append((f"relu{name[4:]}", "ReLU", []))
        if name in _POOL_AFTER:
            found.append((f"pool{name[4]}", "Pooling", []))
    fc6, fc7 = FC_UNITS
    inner = {
        "fc6": (outputs * math.prod(CELLS), fc6),
        "fc7": (fc6, fc7),
        "cls_score": (fc7, num_classes + 1),
        "bbox_pred": (fc7, 4 * (num_classes + 1)),
    }
    found += [(name, "InnerProduct", inner_product(*sizes)) for name, sizes in inner.items()]
    rpn = {
        "rpn_conv/3x3": (outputs, _RPN_CHANNELS, 3),
        "rpn_cls_score": (_RPN_CHANNELS, 2 * ANCHORS, 1),
        "rpn_bbox_pred": (_RPN_CHANNELS, 4 * ANCHORS, 1),
    }
    found += [(name, "Convolution", convolution(*sizes)) for name, sizes in rpn.items()]
    return [(name, kind, [a.astype(np.float32) for a in arrays]) for name, kind, arrays in found]


def detect(network, images, rois):
    """What the network says of regions.

    Args:
        network: as `random_layers` gives it.
        images: [N, 3, H, W], BGR less the means.
        rois: [R, 5] of image, x1, y1, x2 and y2.

    Returns:
        Probabilities [R, K + 1] and offsets [R, 4 (K + 1)] that are not normalised.
    """
    weights = {name: arrays for name, _, arrays in network}
    x = features(network, images)
    x = np.stack([_roi_pool(x, *roi).reshape(-1) for roi in rois])
    for name in ("fc6", "fc7"):
        x = np.maximum(_inner_product(x, weights[name]), 0)
    return (
        _softmax(_inner_product(x, weights["cls_score"]), axis=1),
        _inner_product(x, weights["bbox_pred"]),
    )


def propose(network, images):
    """Probability of an object [N, A, H', W'] and offsets [N, 4 A, H', W'] of the anchors."""
    weights = {name: arrays for name, _, arrays in network}
    x = np.maximum(_convolution(features(network, images), weights["rpn_conv/3x3"]), 0)
    scores = _convolution(x, weights["rpn_cls_score"])
    n, _, height, width = scores.shape
    # As `rpn_cls_score_reshape` does it: two rows of all anchors' maps.
    probabilities = _softmax(scores.reshape(n, 2, ANCHORS * height, width), axis=1)
    probabilities = probabilities.reshape(n, 2 * ANCHORS, height, width)
    return probabilities[:, ANCHORS:], _convolution(x, weights["rpn_bbox_pred"])


def features(network, images):
    """The map that regions are read from, [N, C, H', W']."""
    x = images.astype(np.float64)
    for name, _, arrays in network:
        if name in _CONVOLUTIONS:
            x = np.maximum(_convolution(x, arrays), 0)
            if name in _POOL_AFTER:
                x = _max_pool(x)
    return x


def _convolution(x, weights):
    kernel, bias = (w.astype(np.float64) for w in weights)
    size = kernel.shape[2]
    height, width = x.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
    out = np.zeros((len(x), len(kernel), height, width)) + bias[:, None, None]
    for i, j in np.ndindex(size, size):
        window = x[:, :, i : i + height, j : j + width]
        out += np.einsum("oc,nchw->nohw", kernel[:, :, i, j], window)
    return out


def _max_pool(x):
    """Of 2 x 2 cells, rounding sizes up."""
    n, c, height, width = x.shape
    x = np.pad(x, [(0, 0), (0, 0), (0, height % 2), (0, width % 2)], constant_values=-np.inf)
    return x.reshape(n, c, (height + 1) // 2, 2, (width + 1) // 2, 2).max(axis=(3, 5))


def _roi_pool(x, image, *corners):
    """Caffe's ROIPooling of one region: [C, rows, columns]."""
    x1, y1, x2, y2 = (math.floor(v / STRIDE + 0.5) for v in corners)  # none is negative here
    rows, columns = CELLS
    out = np.zeros((x.shape[1], rows, columns))
    for i, j in np.ndindex(rows, columns):
        top, bottom = _bin(y1, y2, i, rows, x.shape[2])
        left, right = _bin(x1, x2, j, columns, x.shape[3])
        if top < bottom and left < right:
            out[:, i, j] = x[int(image), :, top:bottom, left:right].max(axis=(1, 2))
    return out


def _bin(start, end, i, bins, limit):
    size = max(end - start + 1, 1) / bins
    low, high = start + math.floor(i * size), start + math.ceil((i + 1) * size)
    return min(max(low, 0), limit), min(max(high, 0), limit)


def _inner_product(x, weights):
    kernel, bias = weights
    return x @ kernel.astype(np.float64).T + bias


def _softmax(x, axis):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)
