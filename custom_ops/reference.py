"""RoI max pooling as a plain NumPy loop, written from the definition and nothing else.

Shape letters: N images, H x W cells of the feature map, C channels, K RoIs, PH x PW bins.
Slow, and meant to be: every other implementation is compared with this one.
"""

import numpy as np

_F = np.float32


def roi_pool_reference(
    features: np.ndarray,
    rois: np.ndarray,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> tuple[np.ndarray, np.ndarray]:
    """RoI max pooling; arguments and results of `custom_ops.roi_pool` as NumPy arrays.

    Raises:
        ValueError: a row of `rois` has a batch index outside [0, N) or is not finite.
    """
    n, h, w, c = features.shape
    rois = np.asarray(rois, np.float32)
    output = np.zeros((len(rois), pooled_height, pooled_width, c), features.dtype)
    argmax = np.full(output.shape, -1, np.int32)
    lowest = _lowest(features.dtype)
    for k, (batch, *corners) in enumerate(rois):
        if not 0 <= batch < n:
            raise ValueError(f"rois row {k}: batch index {batch} is outside [0, {n})")
        with np.errstate(over="ignore", invalid="ignore"):
            x1, y1, x2, y2 = (round_half_away(v * _F(spatial_scale)) for v in corners)
            sizes = x2 - x1, y2 - y1
        if not np.isfinite([x1, y1, *sizes]).all():
            raise ValueError(f"rois row {k}: coordinates {corners} are not finite")
        image = features[int(batch)]
        rows = bin_bounds(y1, y2, pooled_height, h)
        columns = bin_bounds(x1, x2, pooled_width, w)
        for ph, (top, bottom) in enumerate(rows):
            for pw, (left, right) in enumerate(columns):
                if bottom <= top or right <= left:
                    continue
                best = np.full(c, lowest, features.dtype)
                where = np.full(c, -1, np.int32)
                for y in range(top, bottom):
                    for x in range(left, right):
                        with np.errstate(invalid="ignore"):  # NaN is not greater
                            greater = image[y, x] > best
                        best = np.where(greater, image[y, x], best)
                        where = np.where(greater, y * w + x, where)
                output[k, ph, pw] = best
                argmax[k, ph, pw] = where
    return output, argmax


def roi_pool_grad_reference(
    grad_output: np.ndarray, argmax: np.ndarray, rois: np.ndarray, features_shape: tuple
) -> np.ndarray:
    """Gradient of the features [N, H, W, C]: each output's gradient added at its argmax.

    Sums in (k, ph, pw) order, in float32 for the half types.
    """
    n, h, w, c = features_shape
    wide = np.float64 if grad_output.dtype == np.float64 else np.float32
    total = np.zeros((n, h * w, c), wide)
    for k, ph, pw, channel in np.argwhere(argmax >= 0):
        position = argmax[k, ph, pw, channel]
        total[int(rois[k, 0]), position, channel] += wide(grad_output[k, ph, pw, channel])
    return total.reshape(features_shape).astype(grad_output.dtype)


def round_half_away(v: np.float32) -> np.float32:
    """C's `roundf`: halves go away from zero."""
    whole = np.trunc(v)
    return whole + np.copysign(_F(abs(v - whole) >= 0.5), v)


def bin_bounds(
    start: np.float32, end: np.float32, bin_count: int, limit: int
) -> list[tuple[int, int]]:
    """Half-open bounds on one axis of all bins of a RoI with inclusive corners `start`, `end`."""
    size = max(end - start + _F(1), _F(1))
    bin_size = _F(size) / _F(bin_count)

    def clip(v):
        return int(min(max(v + start, 0), limit))

    return [
        (clip(np.floor(_F(p) * bin_size)), clip(np.ceil(_F(p + 1) * bin_size)))
        for p in range(bin_count)
    ]


def _lowest(dtype: np.dtype):
    import ml_dtypes

    return ml_dtypes.finfo(dtype).min
