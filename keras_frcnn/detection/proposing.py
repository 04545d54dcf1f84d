"""Detection by Faster R-CNN: from an image alone to detections, in TensorFlow ops.

Shape letters: N images, H x W pixels, P proposals an image, K object classes, D detections an
image.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposer import Proposer, head_of
from keras_frcnn.models.rpn import ProposalOptions


class ProposingDetector(Detector):
    """A detector that makes its own proposals.

    Args:
        model: as `keras_frcnn.models.faster_rcnn.FasterRCNN` builds it.
        pixel_means, settings: as `Detector` takes them.
        options: how proposals are made; those that the model knows.

    Raises:
        InputError: as `Detector` and `Proposer`.
    """

    kind = "faster_rcnn"
    needs_proposals = False

    def __init__(
        self,
        model: keras.Model,
        pixel_means: tuple[float, float, float] | None = None,
        *,
        options: ProposalOptions | None = None,
        **settings,
    ):
        super().__init__(model, pixel_means, **settings)
        self.options = options or model.options
        self.proposer = Proposer(
            model, self.pixel_means, self.min_side, self.max_side, self.options
        )
        self.head = head_of(model)

    def settings(self) -> dict:
        """As `Detector.settings`, with the options of the proposals."""
        return super().settings() | {"options": self.options}

    def _trace(self):
        return tf.function(
            self._examine, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)]
        )

    def detect(self, image: np.ndarray) -> Detections:
        """Detections of one image, uint8 RGB [H, W, 3], best first."""
        return self.examine(image)[0]

    def examine(self, image: np.ndarray) -> tuple[Detections, np.ndarray]:
        """The detections of one image and the proposals [P, 4] that they came from, best first."""
        boxes, scores, classes, count, proposals = (x[0].numpy() for x in self._traced(image[None]))
        found = Detections(boxes[:count], scores[:count], classes[:count], self.class_names)
        return found, proposals[~box_ops.is_padding(proposals).numpy()]

    def propose(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Proposals [P, 4] of one image, best first, and their objectness [P]."""
        return self.proposer.propose(image)

    def detect_batch(self, images):
        """Detections of images of one size, uint8 RGB [N, H, W, 3]; see `postprocess`."""
        return self._examine(images)[:4]

    def predict(self, images):
        """What the network says of images of one size, before any threshold.

        Returns:
            probabilities [N, P, K + 1], deltas [N, P, K, 4], proposals [N, P, 4] in pixels of the
            images (rows of -1 are padding) and objectness [N, P].
        """
        features, proposals, objectness, scale = self.proposer.propose_scaled(images)
        outputs = self.network_head(features, proposals * scale)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        return probabilities, outputs["bbox_pred"], proposals, objectness

    def network_head(self, features, rois):
        """Scores and offsets of RoIs in pixels of the scaled images."""
        return self.head([features, rois], training=False)

    def _examine(self, images):
        probabilities, deltas, proposals, _ = self.predict(images)
        return *self.postprocessed(probabilities, deltas, proposals, images), proposals
