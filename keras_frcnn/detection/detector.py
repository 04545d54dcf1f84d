"""From an image and its proposals to detections, batched, in TensorFlow ops.

Shape letters: N images, R proposals an image, U of them distinct, K object classes,
D detections an image.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.data.preprocessing import (
    box_scale,
    detection_side,
    pad_small,
    scale_image,
    scaled_size,
)
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import REGION_LAYER

# What a detector is set to, beside the names of its classes.
SETTINGS = (
    "pixel_means",
    "min_side",
    "max_side",
    "score_threshold",
    "nms_iou",
    "max_detections",
)


class Detector:
    """A trained model with all that stands between a photograph and its detections.

    Args:
        model: as `keras_frcnn.models.fast_rcnn.FastRCNN` builds it.
        pixel_means: of the trunk the model was trained with, (B, G, R); those the model knows.
        min_side, max_side: see `preprocessing.scaled_size`; of several values of `min_side` the
            middle one. By default those the model knows, 600 and 1000 where it knows none.
        score_threshold, nms_iou, max_detections: see `postprocess`.
        class_names: of classes 1..K; those the model knows.

    Raises:
        InputError: the model does not know its pixel means and none are given, or it is another
            `kind`.
    """

    kind = "fast_rcnn"
    needs_proposals = True

    def __init__(
        self,
        model: keras.Model,
        pixel_means: tuple[float, float, float] | None = None,
        min_side: int | Sequence[int] | None = None,
        max_side: int | None = None,
        score_threshold: float = 0.05,
        nms_iou: float = 0.3,
        max_detections: int = 100,
        class_names: Sequence[str] | None = None,
    ):
        def known(name, given, otherwise=None):
            return given if given is not None else getattr(model, name, None) or otherwise

        kind = getattr(model, "detector", self.kind)
        if kind != self.kind:
            use = {
                "fast_rcnn": "use Detector",
                "faster_rcnn": "use ProposingDetector",
                "mask_fast_rcnn": "use MaskDetector",
                "mask_rcnn": "use ProposingMaskDetector",
            }
            needed = use.get(kind, "alone it detects nothing")
            raise InputError(f"model: {model.name} is {kind}, not {self.kind}; {needed}")
        self.model = model
        self.pixel_means = known("pixel_means", pixel_means)
        if self.pixel_means is None:
            raise InputError(
                f"pixel_means: the model {model.name} does not know them; give those (B, G, R) of "
                "its trunk, such as (103.939, 116.779, 123.68) for VGG16"
            )
        self.min_side = detection_side(known("min_side", min_side, 600))
        self.max_side = known("max_side", max_side, 1000)
        self.class_names = tuple(known("class_names", class_names, ()))
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections
        self._traced = self._trace()

    def settings(self) -> dict:
        """The arguments, beside the model, that make another detector like this one."""
        return {name: getattr(self, name) for name in (*SETTINGS, "class_names")}

    def _trace(self):
        """One trace for all sizes of images and numbers of proposals."""
        return tf.function(
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
        return Detections(boxes[:count], scores[:count], classes[:count], self.class_names)

    def detect_batch(self, images, proposals):
        """Detections of images of one size; see `postprocess` for what is returned.

        Args:
            images: uint8 RGB [N, H, W, 3].
            proposals: float32 [N, R, 4], pixels of `images`; rows of -1 are padding.
        """
        return self.postprocessed(*self.predict(images, proposals), proposals, images)

    def postprocessed(self, probabilities, deltas, proposals, images):
        """`postprocess` of what the network says of images of one size, with these settings."""
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
        scaled, scale = self.scaled(images)
        distinct, index = self.model.get_layer(REGION_LAYER).distinct_rois(proposals * scale)
        outputs = self.network(scaled, distinct)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        return (
            tf.gather(probabilities, index, batch_dims=1),
            tf.gather(outputs["bbox_pred"], index, batch_dims=1),
        )

    def scaled(self, images):
        """Images of one size as the network sees them, and the scale of boxes, float32 [4]."""
        image_size = tf.shape(images)[1:3]
        size = scaled_size(image_size, self.min_side, self.max_side)
        scaled = pad_small(scale_image(images, size, self.pixel_means))
        return scaled, box_scale(image_size, size)

    def network(self, images, rois):
        """The model's outputs for scaled images and RoIs in their pixels."""
        return self.model({"images": images, "rois": rois}, training=False)
