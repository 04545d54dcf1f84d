"""Labelling proposals and sampling the RoIs of a mini-batch (Girshick 2015, section 2.3).

The input pipeline draws from proposals that are known beforehand, a model from those it makes.

P is the number of proposals, M of ground-truth boxes, R of RoIs sampled from one image.
"""

import tensorflow as tf

from keras_frcnn import boxes as box_ops


def assign(rois: tf.Tensor, gt_boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The best ground-truth box of every RoI: (highest IoU [P], its index [P], int32).

    Without ground truth the IoU is 0 and the index 0. Ties go to the first box.
    """
    # One column of zeros keeps max and argmax defined when M = 0; being last, it never wins.
    iou = tf.pad(box_ops.pairwise_iou(rois, gt_boxes), [[0, 0], [0, 1]])
    best = tf.argmax(iou, axis=1, output_type=tf.int32)
    best = tf.minimum(best, tf.maximum(tf.shape(gt_boxes)[0] - 1, 0))
    return tf.reduce_max(iou, axis=1), best


def foreground_rois(rois_per_image: int, fg_fraction: float = 0.25) -> int:
    """How many of the RoIs sampled from an image are foreground at most: 16 of 64."""
    return round(rois_per_image * fg_fraction)


def sample_rois(
    proposals: tf.Tensor,
    gt_boxes: tf.Tensor,
    gt_classes: tf.Tensor,
    seed: tf.Tensor,
    rois_per_image: int = 64,
    fg_fraction: float = 0.25,
    fg_iou: float = 0.5,
    bg_iou: tuple[float, float] = (0.1, 0.5),
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draw the RoIs of one image for one mini-batch, without replacement.

    Args:
        proposals: [P, 4]. The ground-truth boxes are added to them. Rows without area, with which
            lists are padded, are never drawn.
        gt_boxes: [M, 4], difficult objects already left out.
        gt_classes: [M], 1..K.
        seed: int [2] for stateless random numbers: the same seed draws the same RoIs.
        rois_per_image: R; at most round(R * `fg_fraction`) of them are foreground, 16 of 64.
        fg_iou: a RoI is foreground from this IoU with its best ground-truth box on.
        bg_iou: a RoI is background where that IoU is in [low, high); the rest is never drawn.

    Returns:
        rois [R, 4], labels [R] int32 (class of a foreground RoI, 0 for background) and
        bbox_targets [R, 4] (`encode`d, zero for background). With too few candidates the last
        rows are padding: zeros, label -1.
    """
    rois = tf.concat([proposals, gt_boxes], axis=0)
    overlap, best = assign(rois, gt_boxes)
    # Rows without area are padding of the proposals or of the objects: with a lower bound of 0 they
    # would pass for background.
    is_box = box_ops.area(rois) > 0
    is_fg = is_box & (overlap >= fg_iou)
    is_bg = is_box & (overlap >= bg_iou[0]) & (overlap < bg_iou[1])

    order = tf.argsort(tf.random.stateless_uniform(tf.shape(overlap), seed))
    fg = take(order, is_fg, foreground_rois(rois_per_image, fg_fraction))
    bg = take(order, is_bg, rois_per_image - tf.size(fg))

    chosen = tf.concat([fg, bg], axis=0)
    matched = tf.gather(best, fg)
    labels = tf.concat(
        [tf.cast(tf.gather(gt_classes, matched), tf.int32), tf.zeros_like(bg)], axis=0
    )
    targets = box_ops.encode(tf.gather(rois, fg), tf.gather(gt_boxes, matched))

    missing = rois_per_image - tf.size(chosen)
    sampled = tf.pad(tf.gather(rois, chosen), [[0, missing], [0, 0]])
    labels = tf.pad(labels, [[0, missing]], constant_values=-1)
    targets = tf.pad(targets, [[0, rois_per_image - tf.size(fg)], [0, 0]])
    return (
        tf.ensure_shape(sampled, [rois_per_image, 4]),
        tf.ensure_shape(labels, [rois_per_image]),
        tf.ensure_shape(targets, [rois_per_image, 4]),
    )


def take(order: tf.Tensor, mask: tf.Tensor, count) -> tf.Tensor:
    """The first `count` of the indices `order` for which `mask` holds."""
    return tf.boolean_mask(order, tf.gather(mask, order))[:count]
