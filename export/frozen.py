"""The network of a detector as one function of the graph, with constant convolutions."""

import keras
import tensorflow as tf

from keras_frcnn.detection.detector import Detector


class TracedDetector(Detector):
    """Detects what `detector` does by a network that is traced once, here, for all signatures.

    RoI pooling is the op of the present context (`custom_ops.portable_ops`). The weights are
    constants of the graph, except for the matrices of Dense layers, `variables`. oneDNN rearranges
    the constant kernels of convolutions once, for the processor it runs on, and variable ones in
    every call. Matrices are too large for that: TensorFlow copies constants many times, and a VGG16
    of nothing but constants took 13 GB to save and 7 GB to load.

    Args:
        detector: whose settings these are.
        model: the model to trace, the detector's own or a conversion of it.
    """

    def __init__(self, detector: Detector, model: keras.Model):
        super().__init__(
            model,
            detector.pixel_means,
            detector.min_side,
            detector.max_side,
            detector.score_threshold,
            detector.nms_iou,
            detector.max_detections,
            detector.class_names,
        )
        # The TensorFlow variables alone: a Keras model's own traces would be saved with it.
        self.variables = [w.value for w in model.weights if len(w.shape) == 2]
        values = [(w, w.numpy()) for w in model.weights if len(w.shape) != 2]

        def network(images, rois):
            constants = [(weight, tf.constant(value)) for weight, value in values]
            with keras.StatelessScope(state_mapping=constants):
                return model({"images": images, "rois": rois}, training=False)

        self._network = tf.function(
            network,
            input_signature=[
                tf.TensorSpec([None, None, None, 3], tf.float32, "images"),
                tf.TensorSpec([None, None, 4], tf.float32, "rois"),
            ],
            autograph=False,
        ).get_concrete_function()

    def network(self, images, rois):
        """See `Detector.network`."""
        return self._network(images, rois)
