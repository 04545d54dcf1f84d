"""Labelling anchors and sampling those of a mini-batch (Ren et al. 2015, section 3.1.2).

Shape letters: I anchors inside the image, M ground-truth boxes, S anchors sampled from an image.
"""

import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.models.anchors import inside_anchors
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.rpn_levels import anchor_places
from keras_frcnn.sampling import assign, take


def assign_anchors(
    anchors: tf.Tensor, gt_boxes: tf.Tensor, fg_iou: float = 0.7, bg_iou: float = 0.3
) -> tuple[tf.Tensor, tf.Tensor]:
    """Label the anchors of one image and match them with its objects.

    An anchor is positive if its highest IoU is at least `fg_iou`, or if no other has a higher IoU
    with some object (all of equals); else negative where its highest IoU is below `bg_iou`. An
    object that no anchor touches has none of its own: the authors' code makes all anchors positive
    then.

    Args:
        anchors: [I, 4], inside the image.
        gt_boxes: [M, 4] in the same pixels, difficult objects left out.

    Returns:
        labels [I] int32, 1 positive, 0 negative, -1 neither; and the matched objects [I] int32,
        each the one of the anchor's own highest IoU, the first of equals.
    """
    overlap, matched = assign(anchors, gt_boxes)
    iou = box_ops.pairwise_iou(anchors, gt_boxes)
    best = tf.reduce_max(iou, axis=0)
    is_best = tf.reduce_any((iou == best) & (best > 0), axis=1)
    labels = tf.where(overlap < bg_iou, 0, -1)
    return tf.where(is_best | (overlap >= fg_iou), 1, labels), matched


def sample_anchors(
    labels: tf.Tensor, seed: tf.Tensor, anchors_per_image: int = 256, fg_fraction: float = 0.5
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw the anchors of one image for one mini-batch, without replacement.

    Args:
        labels: [I], as `assign_anchors` gives them.
        seed: int [2] for stateless random numbers: the same seed draws the same anchors.
        anchors_per_image: S; at most round(S * `fg_fraction`) of them are positive. Negative ones
            fill up what these leave; if they are too few, fewer are drawn.

    Returns:
        the places in `labels` of the positive anchors drawn, and of the negative ones.
    """
    order = tf.argsort(tf.random.stateless_uniform(tf.shape(labels), seed))
    positive = take(order, labels == 1, round(anchors_per_image * fg_fraction))
    return positive, take(order, labels == 0, anchors_per_image - tf.size(positive))


def _inside(size: tf.Tensor, options: ProposalOptions) -> tuple[tf.Tensor, tf.Tensor]:
    """`inside_anchors` of the one level or of all."""
    found = [inside_anchors(size, *place) for place in anchor_places(options)]
    if not options.strides:
        return found[0]
    boxes, index = zip(*found, strict=True)
    index = [tf.pad(rows, [[0, 0], [1, 0]], constant_values=i) for i, rows in enumerate(index)]
    return tf.concat(boxes, axis=0), tf.ensure_shape(tf.concat(index, axis=0), [None, 4])


def anchor_targets(
    size: tf.Tensor,
    gt_boxes: tf.Tensor,
    seed: tf.Tensor,
    options: ProposalOptions,
    anchors_per_image: int = 256,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What a region proposal network learns from one image in one mini-batch.

    Args:
        size: (height, width) of the scaled image, without the padding of its batch, [2].
        gt_boxes: [M, 4] in its pixels, difficult objects left out.
        seed: int [2], as for `sample_anchors`.
        options: the anchors.
        anchors_per_image: S.

    Returns:
        index [S, 3] int32, rows (y, x, a), of a pyramid [S, 4], rows (level, y, x, a); labels [S]
        int32, 1 object, 0 background; targets [S, 4] (`encode`d, zero for background). If the image
        has too few candidates the last rows are padding: index 0, label -1.
    """
    anchors, index = _inside(size, options)
    labels, matched = assign_anchors(anchors, gt_boxes)
    positive, negative = sample_anchors(labels, seed, anchors_per_image)
    chosen = tf.concat([positive, negative], axis=0)
    targets = box_ops.encode(
        tf.gather(anchors, positive), tf.gather(gt_boxes, tf.gather(matched, positive))
    )
    missing = [[0, anchors_per_image - tf.size(chosen)]]
    return (
        tf.ensure_shape(
            tf.pad(tf.gather(index, chosen), [*missing, [0, 0]]),
            (anchors_per_image, index.shape[1]),
        ),
        tf.ensure_shape(
            tf.pad(tf.gather(labels, chosen), missing, constant_values=-1), (anchors_per_image,)
        ),
        tf.ensure_shape(
            tf.pad(targets, [[0, anchors_per_image - tf.size(positive)], [0, 0]]),
            (anchors_per_image, 4),
        ),
    )
