"""RoIAlign: the public function, and the choice between its two implementations.

Shape letters: L levels of a pyramid, N images, H x W cells of a feature map, C channels, K RoIs,
PH x PW bins.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from keras_frcnn.custom_ops.align_reference import MAX_SAMPLES
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.custom_ops.ops import is_portable
from keras_frcnn.custom_ops.portable_align import align_levels


def roi_align(
    features: tf.Tensor | Sequence[tf.Tensor],
    rois: tf.Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float | Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
    levels: tf.Tensor | None = None,
) -> tf.Tensor:
    """RoIAlign (He, Gkioxari, Dollár, Girshick 2017, section 3): means of interpolated samples.

    No coordinate is rounded to cells. A bin is the mean of bilinear samples on a regular grid;
    samples further than a cell outside the map count as 0. The arithmetic is torchvision's, in
    float32 to the bit that of ONNX Runtime's `RoiAlign` (docs/roi_align.md).

    Args:
        features: a map [N, H, W, C], or the maps of the levels of a pyramid with the same N and C;
            float32, float64, float16 or bfloat16.
        rois: float32 [K, 5], rows (batch_index, x1, y1, x2, y2) in image pixels, continuous: a box
            that covers cell i alone goes from i to i + 1, divided by `spatial_scale`.
        pooled_height, pooled_width: bins of the output.
        spatial_scale: cells of the map per image pixel, of each map where there are several.
        sampling_ratio: samples of a bin along each axis; 0 for as many as the bin has cells,
            rounded up.
        aligned: whether the value of cell i stands at its centre, i + 0.5. Without it, as in
            Detectron and in ONNX's `output_half_pixel`, it stands at i, and no RoI is smaller than
            a cell.
        levels: int32 [K], the map of each RoI; the first by default.

    Returns:
        [K, PH, PW, C] in the type of `features`, differentiable with respect to these. Coordinates
        and weights are float32 whatever that is, and half types are summed in float32.

    Raises:
        tf.errors.InvalidArgumentError: a batch index, level or coordinate is unusable (the message
            names the row), or a bin would have more than 65,536 samples along an axis; wrong ranks.
    """
    maps = list(features) if isinstance(features, (list, tuple)) else [features]
    maps = [tf.convert_to_tensor(values) for values in maps]
    scales = list(spatial_scale) if isinstance(spatial_scale, (list, tuple)) else [spatial_scale]
    with tf.device("CPU:0"):  # where the kernel wants them
        rois = tf.convert_to_tensor(rois, tf.float32)
        if levels is None:
            levels = tf.zeros(tf.shape(rois)[:1], tf.int32)
        levels = tf.convert_to_tensor(levels, tf.int32)
    _check_arguments(maps, rois, levels, (pooled_height, pooled_width), scales, sampling_ratio)
    library = None if is_portable() else load_library()
    if library is None:
        grid = pooled_height, pooled_width, max(sampling_ratio, 0), aligned
        return align_levels(maps, rois, levels, scales, grid)
    return library.keras_frcnn_roi_align(
        maps,
        rois,
        levels,
        pooled_height=pooled_height,
        pooled_width=pooled_width,
        spatial_scales=[float(scale) for scale in scales],
        sampling_ratio=sampling_ratio,
        aligned=aligned,
    )


def _check_arguments(maps, rois, levels, size, scales, sampling_ratio):
    for values in maps:
        if values.shape.rank not in (None, 4):
            raise _invalid(f"features must be [N, H, W, C], not {values.shape}")
    channels = {v.shape[3] for v in maps if v.shape.rank and v.shape[3] is not None}
    if len(channels) > 1:
        raise _invalid(f"features must have one number of channels, not {sorted(channels)}")
    if len(scales) != len(maps):
        raise _invalid(f"spatial_scale must be {len(maps)} numbers, not {len(scales)}")
    if not rois.shape.is_compatible_with([None, 5]):
        raise _invalid(f"rois must be [K, 5], not {rois.shape}")
    if not levels.shape.is_compatible_with(rois.shape[:1] if rois.shape.rank else [None]):
        raise _invalid(f"levels must be [K], not {levels.shape}")
    if min(size) < 1 or max(size) > 1 << 20:
        raise _invalid(f"the pooled size must be positive and below 2^20, not {size}")
    if not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise _invalid(f"spatial_scale must be positive numbers, not {scales}")
    if not -1 <= sampling_ratio <= MAX_SAMPLES:
        raise _invalid(f"sampling_ratio must be from 0 to {MAX_SAMPLES}, not {sampling_ratio}")


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, f"roi_align: {message}")
