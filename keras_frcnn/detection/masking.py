"""Detection with masks (He et al. 2017, section 3.1): of the boxes that were found, and only them.

Shape letters: N images of H x W pixels, R proposals, D detections an image, K object classes, M x M
cells of a mask.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn import run_length
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.paste import paste
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.models.heads import (
    MASK_ALIGN,
    MASK_CONVOLUTIONS,
    MASK_PREDICTOR,
    MASK_REGIONS,
    MASK_UPSAMPLING,
    REGION_LAYER,
)
from keras_frcnn.models.roi_align import region_inputs


class MaskDetector(Detector):
    """A `Detector` that finds masks too.

    Args:
        model: as `keras_frcnn.models.mask_rcnn.MaskFastRCNN` builds it.
        *args, **settings: as `Detector` takes them.
    """

    kind = "mask_fast_rcnn"

    def __init__(self, model: keras.Model, *args, **settings):
        super().__init__(model, *args, **settings)
        self.box_model, self.network_masks = box_branch(model), MaskBranch(model)

    def detect(self, image: np.ndarray, proposals: np.ndarray) -> Detections:
        """Detections of one image, best first; the arguments are those of `Detector.detect`."""
        return with_masks(self._traced(image[None], proposals[None]), image, self.class_names)

    def detect_batch(self, images, proposals):
        """As `Detector.detect_batch`, and masks [N, D, M, M], probabilities in frames of boxes."""
        scaled, scale = self.scaled(images)
        outputs = self.network_boxes(scaled, proposals * scale)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        found = self.postprocessed(probabilities, outputs["bbox_pred"], proposals, images)
        logits = self.network_masks(outputs["features"], found[0] * scale, found[2])
        return *found, mask_probabilities(logits, found[2])

    def network(self, images, rois):
        """Scores and offsets for scaled images and RoIs in their pixels."""
        outputs = self.network_boxes(images, rois)
        return {name: outputs[name] for name in ("cls_score", "bbox_pred")}

    def network_boxes(self, images, rois):
        """Scores, offsets and features."""
        return self.box_model({"images": images, "rois": rois}, training=False)


class ProposingMaskDetector(ProposingDetector):
    """A `ProposingDetector` that finds masks too.

    Args:
        model: as `keras_frcnn.models.mask_rcnn.MaskRCNN` builds it.
        *args, **settings: as `ProposingDetector` takes them.
    """

    kind = "mask_rcnn"

    def __init__(self, model: keras.Model, *args, **settings):
        super().__init__(model, *args, **settings)
        self.network_masks = MaskBranch(model)

    def examine(self, image: np.ndarray) -> tuple[Detections, np.ndarray]:
        """The detections of one image and the proposals [P, 4] that they came from, best first."""
        *found, proposals = self._traced(image[None])
        proposals = proposals[0].numpy()
        proposals = proposals[~box_ops.is_padding(proposals).numpy()]
        return with_masks(found, image, self.class_names), proposals

    def detect_batch(self, images):
        """As `ProposingDetector.detect_batch`, and masks [N, D, M, M]."""
        return self._examine(images)[:5]

    def _examine(self, images):
        features, proposals, _, scale = self.proposer.propose_scaled(images)
        outputs = self.network_head(features, proposals * scale)
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], tf.float32))
        found = self.postprocessed(probabilities, outputs["bbox_pred"], proposals, images)
        logits = self.network_masks(features, found[0] * scale, found[2])
        return *found, mask_probabilities(logits, found[2]), proposals


def box_branch(model: keras.Model) -> keras.Model:
    """Images and RoIs to scores, offsets and features: a `MaskFastRCNN` without its masks."""
    layers = {layer.name: layer for layer in model.layers}
    outputs = {name: layers[name].output for name in ("cls_score", "bbox_pred")}
    outputs["features"], _ = region_inputs(layers[REGION_LAYER])
    return keras.Model({name: model.input[name] for name in ("images", "rois")}, outputs)


class MaskBranch:
    """The layers of a model that make masks, called one after the other.

    Not a Keras model of their tensors: where only some of these are inputs of the whole, Keras 3.15
    changes them in the whole, which then cannot be saved.
    """

    def __init__(self, model: keras.Model):
        names = MASK_ALIGN, MASK_REGIONS, *MASK_CONVOLUTIONS, MASK_UPSAMPLING, MASK_PREDICTOR
        self.align, *self.hidden, self.predictor = map(model.get_layer, names)
        self.features, _ = region_inputs(self.align)  # as the graph has them

    @property
    def weights(self) -> list:
        """Of all layers."""
        return [w for layer in (*self.hidden, self.predictor) for w in layer.weights]

    def __call__(self, features, boxes, classes):
        """Features, boxes [N, D, 4] in scaled pixels and their classes to logits [N, D, M, M]."""
        x = self.align(features, boxes)
        for layer in self.hidden:
            x = layer(x)
        return self.predictor(x, classes)


def mask_probabilities(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Of logits [N, D, M, M] with classes [N, D]; zeros where the class is 0, a row of padding."""
    is_real = (classes > 0)[:, :, None, None]
    return tf.where(is_real, tf.sigmoid(tf.cast(logits, tf.float32)), 0.0)


def with_masks(found, image: np.ndarray, class_names: tuple[str, ...]) -> Detections:
    """The first image's detections, their masks pasted into its pixels.

    Args:
        found: boxes, scores, classes, count and masks, as `MaskDetector.detect_batch` has them.
        image: [H, W, 3].
    """
    boxes, scores, classes, count, masks = (x[0].numpy() for x in found)
    height, width = image.shape[:2]
    pasted = (
        run_length.from_bitmap(paste(mask, box, height, width))
        for mask, box in zip(masks[:count], boxes[:count], strict=True)
    )
    return Detections(
        *(boxes[:count], scores[:count], classes[:count], class_names),
        tuple(pasted),
        (height, width),
    )
