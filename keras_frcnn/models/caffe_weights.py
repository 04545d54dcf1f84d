"""From the weights of Girshick's and Ren's Caffe networks to ours.

The orders are those of their code: fast-rcnn e107cae and py-faster-rcnn 54d2576, with the networks
in its models/. Both take BGR pixels, as we do, so that the first convolution needs no change. What
stays different, such as boxes that end at a pixel rather than behind it, is in docs/trunks.md.

Shape letters: C channels, O outputs, I inputs, A anchors a cell, K object classes.
"""

import math
from pathlib import Path

import numpy as np

from keras_frcnn.models.caffemodel import read_caffemodel
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.heads import FULLY_CONNECTED, PREDICTORS, REGION_LAYER, RPN
from keras_frcnn.models.trunks import Trunk

# Our layers after the trunk -> theirs.
_NAMES = {
    **{name: name for name in FULLY_CONNECTED},
    "cls_score": "cls_score",
    "bbox_deltas": "bbox_pred",
    "rpn_conv": "rpn_conv/3x3",
    "rpn_cls_score": "rpn_cls_score",
    "rpn_bbox_deltas": "rpn_bbox_pred",
}


def caffe_weights(path: Path, model: DetectionModel, trunk: Trunk) -> dict[str, list[np.ndarray]]:
    """Layer of `model` -> its weights in Keras's order, where the file has some.

    Of the trunk they come as they are. Those of other layers are left out if they are of another
    size, `cls_score` and `bbox_deltas` also if fc6 or fc7 is, on whose outputs they were trained,
    and the region proposal network if one of its layers is.

    Args:
        path: of a .caffemodel file; it does not name its classes, which are taken to be those of
            `model` in their order.
        model: as `FastRCNN` or a builder of `faster_rcnn` makes it.
        trunk: the trunk it was built with.

    Raises:
        InputError: the file cannot be read (`read_caffemodel`).
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    regions = [layer.output.shape[2:] for layer in model.layers if layer.name == REGION_LAYER]
    found = in_keras_order(
        read_caffemodel(path),
        regions[0] if regions else (),
        model.target_mean,
        model.target_std,
    )
    ours = {}
    for name, layer in layers.items():
        weights = found.pop(_caffe_name(name, trunk), None)
        expected = [tuple(w.shape) for w in layer.weights]
        if weights and (name not in _NAMES or [w.shape for w in weights] == expected):
            ours[name] = weights
    for dependent, needed in ((PREDICTORS, FULLY_CONNECTED), (RPN, RPN)):
        if not all(name in ours for name in needed):
            ours = {name: weights for name, weights in ours.items() if name not in dependent}
    return ours


def _caffe_name(layer: str, trunk: Trunk) -> str:
    """The name of one of our layers in Caffe's files, as in the papers."""
    for part, layers in trunk.parts.items():
        if layers == (layer,):
            return part
    return _NAMES.get(layer) or trunk.renamed.get(layer, layer)


def in_keras_order(
    layers: dict[str, list[np.ndarray]],
    cells: tuple[int, ...],
    target_mean: np.ndarray | None,
    target_std: np.ndarray | None,
) -> dict[str, list[np.ndarray]]:
    """The weights that `read_caffemodel` gives, by Caffe's names, in the order of Keras.

    * Convolutions: [O, I, height, width] to [height, width, I, O]; fully connected: [O, I] to
      [I, O].
    * fc6 reads a region as (C, row, column), here as (row, column, C).
    * bbox_pred predicts offsets that are not normalised for K + 1 classes, since the authors' code
      multiplies its weights by the deviations and adds the means whenever it saves them
      (`SolverWrapper.snapshot`). Here it predicts normalised ones for K classes.
    * rpn_cls_score: channel t A + a to 2 a + t for t of background and object. rpn_bbox_pred has
      4 a + coordinate, as we have, and is not normalised.

    Args:
        layers: `read_caffemodel`'s; the dictionary is emptied, since the arrays may be large.
        cells: height, width and channels of a pooled region.
        target_mean, target_std: of the model's regression targets, [K, 4].

    Returns:
        What fits them; fc6 of other cells and bbox_pred of another number of classes are left out.
    """
    ordered = {}
    for name in list(layers):
        kernel, *bias = layers.pop(name)
        if name == "fc6":
            if len(cells) < 3 or kernel[0].size != math.prod(cells):
                continue
            height, width, channels = cells
            kernel = kernel.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
            kernel = kernel.reshape(len(kernel), -1)
        elif name == "bbox_pred":
            if target_mean is None or len(kernel) != 4 * (len(target_mean) + 1):
                continue
            mean, std = target_mean.reshape(-1), target_std.reshape(-1)
            kernel = kernel.reshape(len(kernel), -1)[4:] / std[:, None]
            bias = [(b[4:] - mean) / std for b in bias]
        elif name == "rpn_cls_score" and len(kernel) % 2 == 0:
            order = np.arange(len(kernel)).reshape(2, -1).T.reshape(-1)
            kernel, bias = kernel[order], [b[order] for b in bias]
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        ordered[name] = [kernel, *bias]
    return ordered
