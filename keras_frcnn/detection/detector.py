"""From an image and its proposals to detections, batched, in TensorFlow ops.

Shape letters: N images, R proposals an image, U of them distinct, K object classes,
D detections an image.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.data.preprocessing import box_scale, scale_image, scaled_size
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.models.heads import REGION_LAYER


class Detector:
    """A trained model with all that stands between a photograph and its detections.

    Args:
        model: as `keras_frcnn.models.fast_rcnn.FastRCNN` builds it.
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
        distinct, index = self.model.get_layer(REGION_LAYER).distinct_rois(rois)
        outputs = self.network(scale_image(images, size, self.pixel_means), distinct)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        return (
            tf.gather(probabilities, index, batch_dims=1),
            tf.gather(outputs["bbox_pred"], index, batch_dims=1),
        )

    def network(self, images, rois):
        """The model's outputs for scaled images and RoIs in their pixels."""
        return self.model({"images": images, "rois": rois}, training=False)
