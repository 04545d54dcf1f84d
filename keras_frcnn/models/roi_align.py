"""RoIAlign as Keras layers: from one feature map, or from the levels of a pyramid.

Shape letters: N images, R RoIs an image, H x W cells of a feature map, C channels, L levels,
PH x PW bins.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_frcnn.custom_ops import roi_align
from keras_frcnn.models.layers import with_batch_index

# A RoI of this side belongs to the level of stride 16 (Lin et al. 2017, equation 1): the size of
# the images that trunks are pretrained on.
CANONICAL_SIDE = 224


@keras.saving.register_keras_serializable(package="keras_frcnn")
class RoIAlign(keras.layers.Layer):
    """RoIAlign (He et al. 2017, section 3): a fixed-size map for every region, nothing rounded.

    Call it with `features` [N, H, W, C], or with a list of the L maps of a pyramid, and `rois`
    float32 [N, R, 4], boxes (x1, y1, x2, y2) in pixels of the images that the features were
    computed from; it returns [N, R, PH, PW, C] in the type of `features`. Of a pyramid each RoI
    reads one level, by its size (`roi_levels`). Rows of zeros, with which shorter lists are padded,
    give zeros if `sampling_ratio` is 0, else the corner's value. The layer casts neither input:
    coordinates do not survive bfloat16.

    Args:
        pool_size: bins of the output, an integer or `(height, width)`.
        strides: image pixels a cell, of the map or of each level, finest first.
        sampling_ratio: samples of a bin along each axis; 0 for as many as the bin has cells.
        aligned: whether a cell's value stands at its centre (`keras_frcnn.custom_ops.roi_align`).

    Raises:
        tf.errors.InvalidArgumentError: a coordinate is not finite, or `rois` are of another number
            of images than `features`.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 7,
        strides: int | Sequence[int] = 16,
        sampling_ratio: int = 0,
        aligned: bool = True,
        **kw,
    ):
        super().__init__(autocast=False, **kw)
        self.pool_size = (pool_size,) * 2 if isinstance(pool_size, int) else tuple(pool_size)
        self.strides = (strides,) if isinstance(strides, int) else tuple(strides)
        self.sampling_ratio, self.aligned = sampling_ratio, aligned
        self.supports_jit = False  # XLA compiles neither the op nor its portable version

    def call(self, features, rois):
        """Read every region of every image: [N, R, PH, PW, C]."""
        maps = _as_list(features)
        with tf.device("CPU:0"):  # where the op wants them
            flat = with_batch_index(maps[0], rois)
            levels = roi_levels(flat[:, 1:], self.strides)
        read = roi_align(
            maps,
            flat,
            *self.pool_size,
            [1 / stride for stride in self.strides],
            self.sampling_ratio,
            self.aligned,
            levels,
        )
        n, r = tf.unstack(tf.shape(rois)[:2])
        output = tf.reshape(read, tf.stack([n, r, *self.pool_size, tf.shape(maps[0])[-1]]))
        output.set_shape(self.compute_output_shape([m.shape for m in maps], rois.shape))
        return output

    def compute_output_shape(self, features_shape, rois_shape):
        """(N, R, PH, PW, C), as far as known."""
        first = features_shape[0]
        shape = first if isinstance(first, (list, tuple, tf.TensorShape)) else features_shape
        n = rois_shape[0] if shape[0] is None else shape[0]
        return (n, rois_shape[1], *self.pool_size, shape[-1])

    def compute_output_spec(self, features, rois):
        """The output's shape, and the type of the features whatever the policy."""
        first = _as_list(features)[0]
        return keras.KerasTensor(
            self.compute_output_shape(first.shape, rois.shape), dtype=first.dtype
        )

    def distinct_rois(self, rois: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What `RoIPool.distinct_rois` returns: here every RoI [N, R, 4] is read by itself.

        No two differ so little that they would have the same features.
        """
        shape = tf.shape(rois)[:2]
        return rois, tf.broadcast_to(tf.range(shape[1])[None], shape)

    def get_config(self):
        """The constructor's arguments."""
        names = ("pool_size", "strides", "sampling_ratio", "aligned")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def roi_levels(boxes: tf.Tensor, strides: Sequence[int]) -> tf.Tensor:
    """The level of a pyramid that each RoI reads (Lin et al. 2017, equation 1), int32 [...].

    Args:
        boxes: [..., 4] in pixels of the scaled image.
        strides: of the levels, finest first, each twice the one before.

    Returns:
        0 for the finest. A side, the root of the area, of 224 pixels belongs to stride 16; one
        half as long or twice as long begins the next finer or coarser level, and what lies beyond
        the levels belongs to the last. Areas are compared, not logarithms, so that the bounds are
        exact; a box without area reads the finest level.
    """
    width, height = tf.unstack(tf.nn.relu(boxes[..., 2:] - boxes[..., :2]), axis=-1)
    area = width * height
    bounds = [float(CANONICAL_SIDE * stride / 16) ** 2 for stride in strides[1:]]
    reached = [tf.cast(area >= bound, tf.int32) for bound in bounds]
    return tf.add_n(reached) if reached else tf.zeros(tf.shape(area), tf.int32)


def region_inputs(layer: keras.layers.Layer):
    """The features, a list of a pyramid's, and the RoIs that a layer of regions is called with."""
    *features, rois = keras.tree.flatten(layer.input)
    return features if len(getattr(layer, "strides", (1,))) > 1 else features[0], rois


def _as_list(features):
    return list(features) if isinstance(features, (list, tuple)) else [features]


@keras.saving.register_keras_serializable(package="keras_frcnn")
class BinMax(keras.layers.Layer):
    """The maximum of every 2 x 2 bins: [N, R, 2 PH, 2 PW, C] to [N, R, PH, PW, C].

    Behind RoIAlign it gives fully connected layers that were pretrained on max-pooled features
    inputs of the kind they know.
    """

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(**kwargs)

    def call(self, x):
        """Pool every region for itself."""
        shape = tf.shape(x)
        pooled = tf.nn.max_pool2d(tf.reshape(x, tf.concat([[-1], shape[2:]], 0)), 2, 2, "VALID")
        size = self.compute_output_shape(x.shape)[2:]
        return tf.reshape(pooled, tf.concat([shape[:2], size], axis=0))

    def compute_output_shape(self, shape):
        """(N, R, PH, PW, C)."""
        return (*shape[:2], shape[2] // 2, shape[3] // 2, shape[4])
