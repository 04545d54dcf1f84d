"""R-CNN's crops: every proposal with some context, warped to one size (Girshick et al. 2014, A).

Shape letters: B boxes of an image, S pixels a side of a crop.
"""

import numpy as np
import tensorflow as tf

from keras_frcnn.custom_ops import roi_align

SIDE = 224  # S, of the images that trunks are pretrained on
CONTEXT = 16  # pixels of context around the box, in the crop


def grown(boxes: np.ndarray, side: int = SIDE, context: int = CONTEXT) -> np.ndarray:
    """Boxes with so much around them that they fill a crop but for `context` pixels a side.

    Each axis grows by its own length, as the warp is anisotropic.

    Args:
        boxes: [B, 4].

    Returns:
        float32 [B, 4]; they may reach beyond the image.
    """
    boxes = np.asarray(boxes, np.float32)
    half = (boxes[:, 2:] - boxes[:, :2]) * np.float32(0.5 * side / (side - 2 * context))
    center = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    return np.concatenate([center - half, center + half], axis=1)


def warp(image: tf.Tensor, boxes: np.ndarray, side: int = SIDE, context: int = CONTEXT):
    """The crops of an image as the network takes them, float32 [B, S, S, 3].

    It is RoIAlign of the image with one sample a bin: bilinear, without a filter where boxes are
    larger than the crop, as in the released code, which however rounds corners to whole pixels.
    What lies beyond the image is 0, the mean colour; up to half a pixel the edge is repeated.

    Args:
        image: [H, W, 3] as `preprocessing.scale_image` makes it, unscaled: BGR less the means.
        boxes: [B, 4] in pixels of the image.
    """
    regions = grown(boxes, side, context)
    rows = np.concatenate([np.zeros((len(regions), 1), np.float32), regions], axis=1)
    return roi_align([image[None]], rows, side, side, [1.0], 1, True)
