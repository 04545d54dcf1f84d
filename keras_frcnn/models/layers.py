"""Keras layers that read regions from a feature map, and two of trunks.

Shape letters: N images, R RoIs an image, H x W cells of the feature map, C channels,
PH x PW bins.
"""

import keras
import tensorflow as tf

from keras_frcnn.custom_ops import roi_pool, roi_pyramid_pool


@keras.saving.register_keras_serializable(package="keras_frcnn")
class RoIPool(keras.layers.Layer):
    """RoI max pooling (Girshick 2015, section 2.1): a fixed-size map for every region.

    Call it with `features` [N, H, W, C] and `rois` float32 [N, R, 4], boxes (x1, y1, x2, y2) in
    pixels of the images that the features were computed from; it returns [N, R, PH, PW, C] in
    the type of `features`. Rows of zeros, with which shorter lists are padded, pool the first
    cell. The layer casts neither input: coordinates do not survive bfloat16.

    Args:
        pool_size: bins of the output, an integer or `(height, width)`.
        spatial_scale: cells of the feature map per pixel, 1/16 for VGG16's conv5_3.

    Raises:
        tf.errors.InvalidArgumentError: a coordinate is not finite, or `rois` are of another number
            of images than `features`.
    """

    def __init__(self, pool_size: int | tuple[int, int] = 7, spatial_scale: float = 1 / 16, **kw):
        super().__init__(autocast=False, **kw)
        self.pool_size = (pool_size,) * 2 if isinstance(pool_size, int) else tuple(pool_size)
        self.spatial_scale = float(spatial_scale)
        self.supports_jit = False  # XLA compiles neither the op nor its portable version

    def call(self, features, rois):
        """Pool every region of every image: [N, R, PH, PW, C]."""
        flat = with_batch_index(features, rois)
        pooled, _ = roi_pool(features, flat, *self.pool_size, self.spatial_scale)
        n, r = tf.unstack(tf.shape(rois)[:2])
        output = tf.reshape(pooled, tf.stack([n, r, *self.pool_size, tf.shape(features)[-1]]))
        output.set_shape(self.compute_output_shape(features.shape, rois.shape))
        return output

    def compute_output_shape(self, features_shape, rois_shape):
        """(N, R, PH, PW, C), as far as known."""
        n = rois_shape[0] if features_shape[0] is None else features_shape[0]
        return (n, rois_shape[1], *self.pool_size, features_shape[-1])

    def compute_output_spec(self, features, rois):
        """The output's shape, and the type of the features whatever the policy."""
        shape = self.compute_output_shape(features.shape, rois.shape)
        return keras.KerasTensor(shape, dtype=features.dtype)

    def distinct_rois(self, rois: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One RoI for each set of them that this layer cannot tell apart.

        Proposals that fall on the same cells of the feature map have the same features; a detector
        pools and classifies them once.

        Args:
            rois: [N, R, 4].

        Returns:
            distinct [N, U, 4] (U of the image that has most; others padded with zeros) and index
            [N, R] int32 such that distinct[n, index[n, r]] pools the same cells as rois[n, r].
        """
        scaled = rois * tf.constant(self.spatial_scale, tf.float32)
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

    def get_config(self):
        """The constructor's arguments."""
        config = {"pool_size": self.pool_size, "spatial_scale": self.spatial_scale}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_frcnn")
class SpatialPyramidPool(keras.layers.Layer):
    """Spatial pyramid pooling of regions (He et al. 2014, section 2.3): one vector a region.

    Call it with `features` [N, H, W, C] and `rois` float32 [N, R, 4], as `RoIPool`; it returns
    [N, R, C * sum(level^2)]: the bins of the first level row by row, C channels each, then those
    of the next level.

    Args:
        levels: bins along each side, for every level; (1, 2, 3, 6) is SPPnet's for detection.
        spatial_scale: cells of the feature map per pixel.

    Raises:
        tf.errors.InvalidArgumentError: a coordinate is not finite, or `rois` are of another number
            of images than `features`.
    """

    def __init__(self, levels: tuple[int, ...] = (1, 2, 3, 6), spatial_scale: float = 1 / 16, **kw):
        super().__init__(autocast=False, **kw)
        self.levels = tuple(levels)
        self.spatial_scale = float(spatial_scale)
        self.supports_jit = False  # as RoIPool

    def call(self, features, rois):
        """Pool every region of every image on every level: [N, R, C * sum(level^2)]."""
        flat = with_batch_index(features, rois)
        pooled, _ = roi_pyramid_pool(features, flat, self.levels, self.spatial_scale)
        n, r = tf.unstack(tf.shape(rois)[:2])
        length = tf.reduce_prod(tf.shape(pooled)[1:])  # given, not -1: there may be no RoI
        output = tf.reshape(pooled, tf.stack([n, r, length]))
        output.set_shape(self.compute_output_shape(features.shape, rois.shape))
        return output

    def compute_output_shape(self, features_shape, rois_shape):
        """(N, R, C * sum(level^2)), as far as known."""
        n = rois_shape[0] if features_shape[0] is None else features_shape[0]
        channels = features_shape[-1]
        bins = sum(level * level for level in self.levels)
        return (n, rois_shape[1], None if channels is None else bins * channels)

    def compute_output_spec(self, features, rois):
        """The output's shape, and the type of the features whatever the policy."""
        shape = self.compute_output_shape(features.shape, rois.shape)
        return keras.KerasTensor(shape, dtype=features.dtype)

    def get_config(self):
        """The constructor's arguments."""
        config = {"levels": self.levels, "spatial_scale": self.spatial_scale}
        return {**super().get_config(), **config}


def with_batch_index(features, rois):
    """Boxes [N, R, 4] as rows [N * R, 5] whose first column is the image's index.

    On the host, where the input pipeline left the boxes and the op checks them.
    """
    with tf.device("CPU:0"):
        rois = tf.cast(rois, tf.float32)
        shape = tf.shape(rois)
        images = tf.shape(features)[0]
        # The op itself would take RoIs of fewer images for those of the first ones.
        check = tf.raw_ops.Assert(
            condition=shape[0] == images,
            data=["rois and features are of different numbers of images:", shape[0], images],
        )
        with tf.control_dependencies([check]):
            batch_index = tf.repeat(tf.range(shape[0], dtype=tf.float32), shape[1])
            return tf.concat([batch_index[:, None], tf.reshape(rois, [-1, 4])], axis=1)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class NormalizedRGB(keras.layers.Layer):
    """What networks see that were not trained on Caffe's pixels: RGB of about unit variance.

    Call it with images [N, H, W, 3] as `preprocessing.scale_image` makes them, BGR with the means
    subtracted.

    Args:
        pixel_std: by which the channels are divided, B, G, R as they come in.
    """

    def __init__(self, pixel_std: tuple[float, float, float], **kw):
        super().__init__(**kw)
        self.pixel_std = tuple(pixel_std)

    def call(self, images):
        """Divide, and reverse the channels."""
        return (images / tf.constant(self.pixel_std, images.dtype))[..., ::-1]

    def compute_output_shape(self, images_shape):
        """The shape stays."""
        return images_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "pixel_std": self.pixel_std}


@keras.saving.register_keras_serializable(package="keras_frcnn")
class LocalResponseNorm(keras.layers.Layer):
    """Local response normalisation over 5 channels with the constants of the Caffe models."""

    def call(self, x):
        """Divide every value by (2 + 0.0001 * the sum of squares of its neighbours) ** 0.75."""
        return tf.nn.local_response_normalization(x, 2, bias=2.0, alpha=1e-4, beta=0.75)
