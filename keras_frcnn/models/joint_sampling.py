"""Sampling the RoIs of a mini-batch inside the model, for joint training (Ren et al. 2015, 3.2).

The proposals change with every step, so that no input pipeline can draw from them. Labels and
targets are made here, and travel to the losses in extra columns of the outputs.

Shape letters: N images, P proposals an image, M ground-truth boxes (short rows padded), R RoIs
sampled from an image, K object classes.
"""

import keras
import tensorflow as tf

from keras_frcnn.sampling import sample_rois


@keras.saving.register_keras_serializable(package="keras_frcnn")
class SampleRoIs(keras.layers.Layer):
    """Draw RoIs from proposals, each image for itself.

    Call it with proposals [N, P, 4], gt_boxes [N, M, 4], gt_classes int [N, M] and seed int [N, 2];
    rows of boxes without area are padding. It returns rois [N, R, 4], labels int32 [N, R] and
    targets [N, R, 4] as `sampling.sample_rois`. No gradient passes.

    Args:
        rois_per_image: R.
        bg_iou_low: background has at least this IoU with an object.
    """

    def __init__(self, rois_per_image: int = 128, bg_iou_low: float = 0.0, **kw):
        super().__init__(autocast=False, **kw)
        self.rois_per_image, self.bg_iou_low = rois_per_image, bg_iou_low
        self.supports_jit = False

    def call(self, proposals, gt_boxes, gt_classes, seed):
        """Return rois, labels and targets."""

        def one_image(inputs):
            return sample_rois(*inputs, self.rois_per_image, bg_iou=(self.bg_iou_low, 0.5))

        r = self.rois_per_image
        specs = (
            tf.TensorSpec([r, 4], tf.float32),
            tf.TensorSpec([r], tf.int32),
            tf.TensorSpec([r, 4], tf.float32),
        )
        with tf.device("CPU:0"):
            inputs = (tf.stop_gradient(proposals), tf.cast(gt_boxes, tf.float32), gt_classes, seed)
            sampled = tf.map_fn(one_image, inputs, fn_output_signature=specs)
        return tuple(map(tf.stop_gradient, sampled))

    def compute_output_spec(self, proposals, gt_boxes, gt_classes, seed):
        """Shapes and types of the outputs."""
        # R stays open: in detection what follows reads another number of RoIs.
        shape = (proposals.shape[0], None)
        return (
            keras.KerasTensor((*shape, 4), "float32"),
            keras.KerasTensor(shape, "int32"),
            keras.KerasTensor((*shape, 4), "float32"),
        )

    def get_config(self):
        """The constructor's arguments."""
        config = {"rois_per_image": self.rois_per_image, "bg_iou_low": self.bg_iou_low}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarryTargets(keras.layers.Layer):
    """Put labels and targets before the predictions, where `losses.Carried` finds them.

    Call it with cls_score [N, R, K + 1], bbox_pred [N, R, K, 4], labels int [N, R] and targets
    [N, R, 4]; it returns [N, R, 1 + K + 1], rows (label, scores), and [N, R, 5 + 4 K], rows
    (label, target, deltas). float32 holds labels exactly.
    """

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(autocast=False, **kwargs)

    def call(self, cls_score, bbox_pred, labels, targets):
        """Concatenate."""
        dtype = cls_score.dtype
        labels = tf.cast(labels, dtype)[..., None]
        shape = tf.shape(bbox_pred)
        deltas = tf.reshape(bbox_pred, [shape[0], shape[1], 4 * bbox_pred.shape[2]])
        return (
            tf.concat([labels, cls_score], axis=-1),
            tf.concat([labels, tf.cast(targets, dtype), deltas], axis=-1),
        )

    def compute_output_spec(self, cls_score, bbox_pred, labels, targets):
        """Shapes and types of the outputs."""
        n, r, classes = cls_score.shape
        return (
            keras.KerasTensor((n, r, 1 + classes), cls_score.dtype),
            keras.KerasTensor((n, r, 5 + 4 * (classes - 1)), cls_score.dtype),
        )
