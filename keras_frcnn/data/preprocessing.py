"""From the pixels of an image file to what the network sees: scale and subtract the mean."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

CELL = 16  # pixels of an image a side, at least


def scaled_size(image_size: tf.Tensor, min_side: int, max_side: int) -> tf.Tensor:
    """The (height, width) an image is resized to, int32 [2] (paper section 5.2: 600 and 1000).

    The shorter side becomes `min_side` pixels unless that makes the longer one exceed
    `max_side`; the aspect ratio is kept up to rounding, and no side falls under one pixel.
    """
    size = tf.cast(image_size, tf.float32)
    min_side, max_side = tf.cast(min_side, tf.float32), tf.cast(max_side, tf.float32)
    scale = tf.minimum(min_side / tf.reduce_min(size), max_side / tf.reduce_max(size))
    return tf.maximum(tf.cast(tf.round(size * scale), tf.int32), 1)


def detection_side(min_side: int | Sequence[int]) -> int:
    """The `min_side` that images are scaled to in detection: of several the middle one."""
    sides = np.sort(np.atleast_1d(min_side))
    return int(sides[len(sides) // 2])


def scale_image(image: tf.Tensor, size: tf.Tensor, pixel_means) -> tf.Tensor:
    """Resize an RGB image [..., H, W, 3] to `size` (bilinear) and turn it into network input.

    Returns float32 [..., h, w, 3] in BGR order with `pixel_means` (B, G, R) subtracted, as the
    Caffe weights behind Keras's VGG16 expect it. Zero is then the mean colour, which is why
    batches are padded with zeros.
    """
    resized = tf.image.resize(tf.cast(image, tf.float32), size)
    return resized[..., ::-1] - tf.constant(pixel_means, tf.float32)


def pad_small(image: tf.Tensor) -> tf.Tensor:
    """Scaled images [..., h, w, 3] with zeros right and below where a side is under 16 pixels.

    Of fewer pixels VGG16, DenseNet and ConvNeXt make no cell at all, and TensorFlow an error.
    """
    missing = tf.maximum(CELL - tf.shape(image)[-3:-1], 0)
    before = len(image.shape) - 3
    padded = tf.pad(image, tf.pad(missing[:, None], [[before, 1], [1, 0]]))
    padded.set_shape([*image.shape[:-3], None, None, image.shape[-1]])
    return padded


def box_scale(image_size: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The factor, float32 [4], that takes boxes of the original image to the scaled one.

    Height and width are rounded to whole pixels separately, so the two axes may differ a little.
    """
    ratio = tf.cast(size, tf.float32) / tf.cast(image_size, tf.float32)
    return tf.stack([ratio[1], ratio[0]] * 2)
