"""The networks of a detector as functions of the graph, with constant convolutions.

The weights are constants of the graph, except for the matrices of Dense layers. oneDNN rearranges
the constant kernels of convolutions once, for the processor it runs on, and variable ones in every
call. Matrices are too large for that: TensorFlow copies constants many times, and a VGG16 of
nothing but constants took 13 GB to save and 7 GB to load.

RoI pooling is the op of the context in which a network is traced (`custom_ops.portable_ops`).
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.masking import MaskBranch, MaskDetector, ProposingMaskDetector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.models.heads import REGION_LAYER
from keras_frcnn.models.roi_align import region_inputs

IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, "images")
ROIS = tf.TensorSpec([None, None, 4], tf.float32, "rois")
CLASSES = tf.TensorSpec([None, None], tf.int32, "classes")


def traced(detector: Detector, model: keras.Model) -> Detector:
    """Detects what `detector` does by networks that are traced once, here, for all signatures.

    Args:
        detector: whose settings these are.
        model: the model to trace, the detector's own or a conversion of it.
    """
    kinds = {
        kind.kind: kind
        for kind in (
            *(TracedDetector, TracedProposingDetector),
            *(TracedMaskDetector, TracedProposingMaskDetector),
        )
    }
    return kinds[detector.kind](detector, model)


class TracedDetector(Detector):
    """A `Detector` for `traced`; `variables` are the weights that are no constants."""

    def __init__(self, detector: Detector, model: keras.Model):
        super().__init__(model, **detector.settings())
        self.variables = _matrices(model)
        self._network = frozen_function(
            model,
            lambda images, rois: model({"images": images, "rois": rois}, training=False),
            [IMAGES, ROIS],
        )

    def network(self, images, rois):
        """See `Detector.network`."""
        return self._network(images, rois)


class TracedProposingDetector(ProposingDetector):
    """A `ProposingDetector` for `traced`; `variables` are the weights that are no constants."""

    def __init__(self, detector: ProposingDetector, model: keras.Model):
        super().__init__(model, **detector.settings())
        self.variables = _freeze_proposing(self)


class TracedMaskDetector(MaskDetector):
    """A `MaskDetector` for `traced`; `variables` are the weights that are no constants."""

    def __init__(self, detector: MaskDetector, model: keras.Model):
        super().__init__(model, **detector.settings())
        boxes = self.box_model
        self.network_boxes = frozen_function(
            boxes,
            lambda images, rois: boxes({"images": images, "rois": rois}, training=False),
            [IMAGES, ROIS],
        )
        self.variables = _matrices(boxes) + _freeze_masks(self)


class TracedProposingMaskDetector(ProposingMaskDetector):
    """A `ProposingMaskDetector` for `traced`; `variables` are the weights that are no constants."""

    def __init__(self, detector: ProposingMaskDetector, model: keras.Model):
        super().__init__(model, **detector.settings())
        self.variables = _freeze_proposing(self) + _freeze_masks(self)


def _freeze_proposing(detector):
    """Trace the parts before and behind the proposals; returns their variables."""
    maps, head = detector.proposer.maps, detector.head
    detector.proposer.network_maps = frozen_function(
        maps, lambda images: maps(images, training=False), [IMAGES]
    )
    detector.network_head = frozen_function(
        head,
        lambda features, rois: head([features, rois], training=False),
        [_spec(region_inputs(detector.model.get_layer(REGION_LAYER))[0]), ROIS],
    )
    return _matrices(maps) + _matrices(head)


def _freeze_masks(detector):
    """Trace the mask branch; returns its variables."""
    branch = detector.network_masks
    detector.network_masks = frozen_function(
        branch, branch, [_spec(branch.features), ROIS, CLASSES]
    )
    return _matrices(branch)


def _spec(features):
    """Of the feature map, or of those of a pyramid's levels."""
    if isinstance(features, list):
        return [tf.TensorSpec(f.shape, f.dtype, f"features_{i}") for i, f in enumerate(features)]
    return tf.TensorSpec(features.shape, features.dtype, "features")


def _matrices(model):
    """The TensorFlow variables alone: a Keras model's own traces would be saved with it."""
    return [w.value for w in model.weights if len(w.shape) == 2]


def frozen_function(part: keras.Model | MaskBranch, call: Callable, signature: list[tf.TensorSpec]):
    """The concrete function of `call`, in which weights of `part` are what this module says."""
    values = [(w, w.numpy()) for w in part.weights if len(w.shape) != 2]

    def network(*inputs):
        constants = [(weight, tf.constant(value)) for weight, value in values]
        with keras.StatelessScope(state_mapping=constants):
            return call(*inputs)

    return tf.function(network, input_signature=signature, autograph=False).get_concrete_function()
