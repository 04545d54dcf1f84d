"""From an image and its proposals to detections, batched, in TensorFlow ops.

Shape letters: N images, R proposals an image, U of them distinct, K object classes,
D detections an image.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.detections import Detections
from keras_frcnn.preprocessing import box_scale, scale_image, scaled_size


class Detector:
    """A trained model with all that stands between a photograph and its detections.

    Args:
        model: as `keras_frcnn.model.fast_rcnn` builds it.
        pixel_means: of the trunk the model was trained with, (B, G, R).
        min_side, max_side: see `preprocessing.scaled_size`.
        score_threshold, nms_iou, max_detections: see `postprocess`.
    """

    def __init__(
        self,
        model: keras.Model,
        pixel_means: tuple[float, float, float],
        min_side: int = 600,
        max_side: int = 1000,
        score_threshold: float = 0.05,
        nms_iou: float = 0.3,
        max_detections: int = 100,
    ):
        self.model = model
        self.pixel_means = pixel_means
        self.min_side = min_side
        self.max_side = max_side
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections
        # One trace for all sizes of images and numbers of proposals.
        self._traced = tf.function(
            self.detect_batch,
            input_signature=[
                tf.TensorSpec([None, None, None, 3], tf.uint8),
                tf.TensorSpec([None, None, 4], tf.float32),
            ],
        )

    def detect(self, image: np.ndarray, proposals: np.ndarray) -> Detections:
        """Detections of one image, best first.

        Args:
            image: uint8 RGB [H, W, 3].
            proposals: float32 [R, 4] in pixels of that image.
        """
        boxes, scores, classes, count = (
            x[0].numpy() for x in self._traced(image[None], proposals[None])
        )
        return Detections(boxes[:count], scores[:count], classes[:count])

    def detect_batch(self, images, proposals):
        """Detections of images of one size; see `postprocess` for what is returned.

        Args:
            images: uint8 RGB [N, H, W, 3].
            proposals: float32 [N, R, 4], pixels of `images`; rows of -1 are padding.
        """
        probabilities, deltas = self.predict(images, proposals)
        return postprocess(
            probabilities,
            deltas,
            proposals,
            tf.shape(images)[1:3],
            self.score_threshold,
            self.nms_iou,
            self.max_detections,
        )

    def predict(self, images, proposals):
        """Class probabilities [N, R, K + 1] and deltas [N, R, K, 4] of every proposal.

        Proposals that fall on the same cells of the feature map have the same features; they
        are pooled and classified once.
        """
        image_size = tf.shape(images)[1:3]
        size = scaled_size(image_size, self.min_side, self.max_side)
        rois = proposals * box_scale(image_size, size)
        distinct, index = distinct_rois(rois, self.model.get_layer("roi_pool").spatial_scale)
        outputs = self.network(scale_image(images, size, self.pixel_means), distinct)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        return (
            tf.gather(probabilities, index, batch_dims=1),
            tf.gather(outputs["bbox_pred"], index, batch_dims=1),
        )

    def network(self, images, rois):
        """The model's outputs for scaled images and RoIs in their pixels."""
        return self.model({"images": images, "rois": rois}, training=False)


def distinct_rois(rois: tf.Tensor, spatial_scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """One RoI for each set of them that RoI pooling cannot tell apart.

    Args:
        rois: [N, R, 4].
        spatial_scale: of RoI pooling, which rounds the scaled corners to whole cells.

    Returns:
        distinct [N, U, 4] (U of the image that has most; others padded with zeros) and index
        [N, R] int32 such that distinct[n, index[n, r]] pools the same cells as rois[n, r].
    """
    scaled = rois * tf.constant(spatial_scale, tf.float32)
    # Half away from zero, as the op rounds: tf.round would send halves to even cells. The
    # comparison is exact because x - trunc(x) is.
    whole = tf.sign(scaled) * tf.floor(tf.abs(scaled))
    away = tf.abs(scaled - whole) >= 0.5
    cells = whole + tf.where(away, tf.sign(scaled), tf.zeros_like(scaled))

    def one_image(cells):
        _, index = tf.raw_ops.UniqueV2(x=cells, axis=[0])
        return index

    index = tf.map_fn(one_image, cells, fn_output_signature=tf.TensorSpec([None], tf.int32))
    count = tf.reduce_max(tf.concat([[-1], tf.reshape(index, [-1])], axis=0)) + 1
    batch = tf.broadcast_to(tf.range(tf.shape(rois)[0])[:, None], tf.shape(index))
    # Any RoI of a set may stand for it: they all give the same features.
    distinct = tf.tensor_scatter_nd_update(
        tf.zeros(tf.stack([tf.shape(rois)[0], count, 4])), tf.stack([batch, index], -1), rois
    )
    return distinct, index


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
            (x2 <= x1 or y2 <= y1) give no detection.
        image_size: (height, width) of the original images, [2].
        score_threshold: detections have scores above it.
        nms_iou: within a class, a box is suppressed when its IoU with a better one is above it.
        max_detections: D.

    Returns:
        boxes [N, D, 4] in pixels of the original image, scores [N, D] (best first), classes
        [N, D] int32 in 1..K, count [N] int32; rows from count on are zeros.
    """
    is_box = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)
    scores = tf.where(is_box[..., None], probabilities[..., 1:], 0.0)
    boxes = box_ops.decode(proposals[:, :, None, :], deltas)
    boxes = box_ops.clip(boxes, image_size)
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
