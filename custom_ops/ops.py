"""RoI max pooling: the public functions, and the choice between its two implementations.

Shape letters: N images, H x W cells of the feature map, C channels, K RoIs, PH x PW bins, B
bins of all levels of a pyramid.
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence

import tensorflow as tf

from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.custom_ops.portable import pool_grids

_portable = contextvars.ContextVar("keras_frcnn_portable_ops", default=False)


@contextlib.contextmanager
def portable_ops() -> Iterator[None]:
    """Inside this context RoI pooling and RoIAlign, and layers on them, use built-in ops only.

    A function traced in it can be saved and loaded without this package. The context belongs to
    the thread or asynchronous task that entered it.
    """
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def is_portable() -> bool:
    """Whether this is inside `portable_ops`."""
    return _portable.get()


def roi_pool(
    features: tf.Tensor,
    rois: tf.Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """RoI max pooling (Girshick 2015, section 2.1) with the arithmetic of the Caffe layer.

    Args:
        features: feature maps [N, H, W, C], float32, float64, float16 or bfloat16.
        rois: float32 [K, 5], rows (batch_index, x1, y1, x2, y2) in image pixels; the corners are
            inclusive once scaled and rounded to cells.
        pooled_height, pooled_width: bins of the output.
        spatial_scale: cells of the feature map per image pixel, 1/16 for VGG16's conv5_3.

    Returns:
        `(output, argmax)`, both [K, PH, PW, C]: the maximum of each bin in the type of `features`
        (0 in an empty bin), and the int32 position y * W + x of the first maximum in its image (-1
        in an empty bin and where nothing is greater than the lowest finite number). Differentiable
        with respect to `features`. A graph in which nothing needs the argmax does not compute it.

    Raises:
        tf.errors.InvalidArgumentError: a batch index outside [0, N) or a non-finite coordinate
            (the message names the row), wrong ranks, or sizes that overflow.
    """
    features = tf.convert_to_tensor(features)
    with tf.device("CPU:0"):  # where every kernel wants them
        rois = tf.convert_to_tensor(rois, tf.float32)
    grid = pooled_height, pooled_width
    _check_arguments(features, rois, [grid], spatial_scale)
    library = None if is_portable() else load_library()
    if library is None:
        flat = pool_grids(features, rois, [grid], spatial_scale)
        shape = tf.stack([tf.shape(rois)[0], *grid, tf.shape(features)[3]])
        output, argmax = (tf.reshape(x, shape) for x in flat)
        return output, argmax
    return library.keras_frcnn_roi_pool(
        features,
        rois,
        pooled_height=pooled_height,
        pooled_width=pooled_width,
        spatial_scale=spatial_scale,
    )


def roi_pyramid_pool(
    features: tf.Tensor,
    rois: tf.Tensor,
    levels: Sequence[int],
    spatial_scale: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`roi_pool` on several grids at once, as spatial pyramid pooling does (He et al. 2014).

    What the levels share is computed once: the check of the RoIs, the map in the form that is
    pooled, and a RoI's cells in the processor's cache.

    Args:
        features, rois, spatial_scale: as for `roi_pool`.
        levels: bins along each side, for every grid.

    Returns:
        `(output, argmax)` as from `roi_pool`, both [K, B, C], B being sum(level^2): the bins of
        the first level row by row, then those of the next.

    Raises:
        tf.errors.InvalidArgumentError: as `roi_pool`.
    """
    features = tf.convert_to_tensor(features)
    with tf.device("CPU:0"):  # where every kernel wants them
        rois = tf.convert_to_tensor(rois, tf.float32)
    grids = [(level, level) for level in levels]
    _check_arguments(features, rois, grids, spatial_scale)
    library = None if is_portable() else load_library()
    if library is None:
        return pool_grids(features, rois, grids, spatial_scale)
    return library.keras_frcnn_roi_pyramid_pool(
        features, rois, levels=list(levels), spatial_scale=spatial_scale
    )


def _check_arguments(features, rois, grids, spatial_scale):
    if features.shape.rank not in (None, 4):
        raise _invalid(f"features must be [N, H, W, C], not {features.shape}")
    if not rois.shape.is_compatible_with([None, 5]):
        raise _invalid(f"rois must be [K, 5], not {rois.shape}")
    sizes = " and ".join(f"{height} x {width}" for height, width in grids) or "nothing"
    bins = sum(height * width for height, width in grids)
    if not grids or min(map(min, grids)) < 1 or bins > tf.int32.max:
        raise _invalid(f"the pooled size must be positive and below 2^31 bins, not {sizes}")
    if not (math.isfinite(spatial_scale) and spatial_scale > 0):
        raise _invalid(f"spatial_scale must be a positive number, not {spatial_scale}")
    _, height, width, _ = features.shape if features.shape.rank else [None] * 4
    if height and width and height * width > tf.int32.max:
        raise _invalid(f"features have {height} x {width} cells, more than an int32 can name")


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, f"roi_pool: {message}")
