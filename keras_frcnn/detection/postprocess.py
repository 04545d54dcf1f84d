"""From the network's outputs to detections: decode, clip, threshold, suppress.

Shape letters: N images, R proposals an image, K object classes, D detections an image.
"""

import tensorflow as tf

from keras_frcnn import boxes as box_ops


def postprocess(
    probabilities: tf.Tensor,
    deltas: tf.Tensor,
    proposals: tf.Tensor,
    image_size: tf.Tensor,
    score_threshold: float = 0.05,
    nms_iou: float = 0.3,
    max_detections: int = 100,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode, clip, threshold, suppress: what the released code does after the network.

    Args:
        probabilities: [N, R, K + 1].
        deltas: [N, R, K, 4]; each class moves the proposal by its own.
        proposals: [N, R, 4] in pixels of the original image; inverted or padding rows
            (x2 <= x1 or y2 <= y1) give no detection, nor does a box outside the image, of which
            clipping leaves no area.
        image_size: (height, width) of the original images, [2].
        score_threshold: detections have scores above it.
        nms_iou: within a class, a box is suppressed when its IoU with a better one is above it.
        max_detections: D.

    Returns:
        boxes [N, D, 4] in pixels of the original image, scores [N, D] (best first), classes
        [N, D] int32 in 1..K, count [N] int32; rows from count on are zeros.
    """
    boxes, scores = decode_boxes(probabilities, deltas, proposals, image_size)
    return suppress(boxes, scores, score_threshold, nms_iou, max_detections)


def decode_boxes(
    probabilities: tf.Tensor, deltas: tf.Tensor, proposals: tf.Tensor, image_size: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes [N, R, K, 4] and scores [N, R, K] of every class; the arguments of `postprocess`.

    What gives no detection has the score 0.
    """
    is_box = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)
    boxes = box_ops.decode(proposals[:, :, None, :], deltas)
    boxes = box_ops.clip(boxes, image_size)
    is_seen = is_box[..., None] & (box_ops.area(boxes) > 0)
    return boxes, tf.where(is_seen, probabilities[..., 1:], 0.0)


def suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    score_threshold: float,
    nms_iou: float,
    max_detections: int,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Non-maximum suppression within each class: what `decode_boxes` gives, to detections."""
    # The op is written for (y, x) boxes; IoU does not change when the axes change places.
    boxes, scores, classes, count = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=max_detections,
        max_total_size=max_detections,
        iou_threshold=nms_iou,
        score_threshold=score_threshold,
        clip_boxes=False,
    )
    is_real = tf.range(max_detections)[None, :] < count[:, None]
    classes = tf.where(is_real, tf.cast(classes, tf.int32) + 1, 0)
    return boxes, scores, classes, count
