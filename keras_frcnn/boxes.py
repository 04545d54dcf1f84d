"""Box geometry: IoU, the R-CNN box coder, clipping and flipping, in TensorFlow ops.

Boxes are float32 `(x1, y1, x2, y2)`, continuous pixels, width = x2 - x1.
A, B are numbers of boxes; leading `...` dimensions broadcast.
"""

import math

import tensorflow as tf

# A regression output above this would make a box more than 62.5 times as wide as its proposal
# (1000 pixels over the 16 of one feature cell); beyond it `exp` only risks overflow.
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def pairwise_iou(boxes1: tf.Tensor, boxes2: tf.Tensor) -> tf.Tensor:
    """Intersection over union of every pair: [A, 4], [B, 4] -> [A, B], 0 where the union is 0."""
    # A coordinate at a time: a last dimension of two keeps TensorFlow's kernels from computing many
    # numbers at once, and takes up to eight times as long for the same bits.
    x1, y1, x2, y2 = (a[:, None] for a in tf.unstack(boxes1, axis=-1))
    left, top, right, bottom = (b[None] for b in tf.unstack(boxes2, axis=-1))
    width = tf.maximum(tf.minimum(x2, right) - tf.maximum(x1, left), 0.0)
    height = tf.maximum(tf.minimum(y2, bottom) - tf.maximum(y1, top), 0.0)
    intersection = width * height
    union = area(boxes1)[:, None] + area(boxes2)[None, :] - intersection
    return tf.math.divide_no_nan(intersection, union)


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Area in square pixels, [..., 4] -> [...]; 0 for inverted boxes."""
    return tf.reduce_prod(tf.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def is_padding(boxes: tf.Tensor) -> tf.Tensor:
    """Which rows [..., 4] only fill up a list of boxes, four times -1: [...] bool."""
    return tf.reduce_all(boxes == -1.0, axis=-1)


def encode(rois: tf.Tensor, gt_boxes: tf.Tensor) -> tf.Tensor:
    """Regression targets (tx, ty, tw, th) that take `rois` to `gt_boxes`, both [..., 4].

    R-CNN's parametrisation (Girshick 2014, appendix C): centre offset in units of the RoI's size,
    and the logarithm of the size ratio. Both boxes need positive width and height.
    """
    roi_size = rois[..., 2:] - rois[..., :2]
    roi_center = rois[..., :2] + 0.5 * roi_size
    gt_size = gt_boxes[..., 2:] - gt_boxes[..., :2]
    gt_center = gt_boxes[..., :2] + 0.5 * gt_size
    return tf.concat(
        [(gt_center - roi_center) / roi_size, tf.math.log(gt_size / roi_size)], axis=-1
    )


def decode(rois: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
    """The boxes that `deltas` [..., 4] make of `rois` [..., 4]: the inverse of `encode`."""
    roi_size = rois[..., 2:] - rois[..., :2]
    roi_center = rois[..., :2] + 0.5 * roi_size
    center = roi_center + deltas[..., :2] * roi_size
    half_size = 0.5 * roi_size * tf.exp(tf.minimum(deltas[..., 2:], MAX_LOG_SCALE))
    return tf.concat([center - half_size, center + half_size], axis=-1)


def clip(boxes: tf.Tensor, image_size: tf.Tensor) -> tf.Tensor:
    """Boxes [..., 4] cut to the image; `image_size` is (height, width), [2] or [..., 2]."""
    image_size = tf.cast(image_size, boxes.dtype)
    limit = tf.stack([image_size[..., 1], image_size[..., 0]] * 2, axis=-1)
    return tf.clip_by_value(boxes, 0.0, limit)


def flip_horizontally(boxes: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Boxes [..., 4] in the mirror image of an image `width` pixels wide."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.stack([width - x2, y1, width - x1, y2], axis=-1)
