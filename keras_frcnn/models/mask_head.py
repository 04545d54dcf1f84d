"""The branch that predicts a mask for a region (He et al. 2017, section 3 and figure 4).

Shape letters: N images, D regions an image, PH x PW cells of a pooled region, C channels, K object
classes, M x M cells of a mask.
"""

import keras
import tensorflow as tf
from keras import layers

from keras_frcnn.models.convolution import ConvReLU2D
from keras_frcnn.models.heads import (
    MASK_ALIGN,
    MASK_CONVOLUTIONS,
    MASK_PREDICTOR,
    MASK_REGIONS,
    MASK_UPSAMPLING,
)
from keras_frcnn.models.roi_align import RoIAlign

POOLED = 14  # cells of a region along a side
MASK_SIZE = 2 * POOLED  # M


def mask_head(features, rois, classes, strides, num_classes: int, channels: int = 256):
    """RoIAlign, four convolutions, one that doubles the resolution, and the mask of a class.

    Args:
        features: a map [N, H, W, C], or those of the levels of a pyramid.
        rois: [N, D, 4] in pixels of the scaled images.
        classes: int32 [N, D], in 1..K; rows of 0 are padding.
        strides: pixels a cell, of the map or of each level.
        num_classes: K.
        channels: of the convolutions.

    Returns:
        mask_logits [N, D, M, M], float32, of the given class in the frame of the RoI.
    """

    def fan_out():  # He's, as the authors have it; each its own
        return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")

    x = RoIAlign(POOLED, strides, name=MASK_ALIGN)(features, rois)
    x = RegionsAsImages(name=MASK_REGIONS)(x)
    for name in MASK_CONVOLUTIONS:
        x = ConvReLU2D(channels, 3, kernel_initializer=fan_out(), name=name)(x)
    x = layers.Conv2DTranspose(
        channels, 2, 2, activation="relu", kernel_initializer=fan_out(), name=MASK_UPSAMPLING
    )(x)
    # float32 whatever Keras's `floatx`, unless that is more.
    dtype = "float64" if keras.config.floatx() == "float64" else "float32"
    return ClassMask(num_classes, dtype=dtype, name=MASK_PREDICTOR)(x, classes)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class RegionsAsImages(layers.Layer):
    """[N, D, PH, PW, C] to [N * D, PH, PW, C], as convolutions take it."""

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(**kwargs)

    def call(self, x):
        """Join the first two dimensions."""
        shape = tf.shape(x)
        return tf.reshape(x, tf.concat([[shape[0] * shape[1]], x.shape[2:]], axis=0))

    def compute_output_shape(self, shape):
        """(N * D, PH, PW, C)."""
        known = None not in shape[:2]
        return (shape[0] * shape[1] if known else None, *shape[2:])


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ClassMask(layers.Layer):
    """The last convolution, 1 x 1, of one class for each region.

    It equals a convolution to K maps and the choice of one, with a K-th of the output.

    Call it with x [N * D, M, M, C] and classes int [N, D], 1..K; it returns logits [N, D, M, M].
    Rows of another class, with which short lists are padded, give the first one's.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int, **kw):
        super().__init__(**kw)
        self.num_classes = num_classes

    def build(self, x_shape, classes_shape):
        """A kernel [K, C], a convolution's with its axes exchanged, and a bias [K]."""
        self.kernel = self.add_weight(
            shape=(self.num_classes, x_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.001),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="bias")

    def call(self, x, classes):
        """Gather each region's weights and apply them."""
        shape, n_d = tf.shape(x), tf.shape(classes)
        index = tf.reshape(classes, [-1])
        index = tf.clip_by_value(tf.cast(index, tf.int32) - 1, 0, self.num_classes - 1)
        kernel = tf.gather(tf.convert_to_tensor(self.kernel), index)
        bias = tf.gather(tf.convert_to_tensor(self.bias), index)
        cells = tf.reshape(x, tf.stack([shape[0], shape[1] * shape[2], shape[3]]))
        logits = tf.matmul(cells, kernel[:, :, None])[..., 0] + bias[:, None]
        return tf.reshape(logits, tf.concat([n_d, shape[1:3]], axis=0))

    def compute_output_spec(self, x, classes):
        """[N, D, M, M] in the type of the layer."""
        shape = (*classes.shape, *x.shape[1:3])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_classes": self.num_classes}
