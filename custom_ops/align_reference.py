"""RoIAlign as a plain NumPy loop, written from the definition and nothing else.

Shape letters: L levels of a pyramid, N images, H x W cells of a feature map, C channels, K RoIs,
PH x PW bins, g samples of a bin along an axis. Slow, and meant to be: every other implementation is
compared with this one.
"""

from collections.abc import Sequence

import numpy as np

_F = np.float32
MAX_SAMPLES = 65536  # of a bin along an axis


def roi_align_reference(
    features: Sequence[np.ndarray],
    rois: np.ndarray,
    levels: np.ndarray,
    pooled_height: int,
    pooled_width: int,
    spatial_scales: Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> np.ndarray:
    """RoIAlign; arguments and results of `custom_ops.roi_align` as NumPy arrays.

    Args:
        features: a map [N, H, W, C] for each level.
        levels: int [K], the map of each RoI.
        spatial_scales: of each map.

    Raises:
        ValueError: a row of `rois` cannot be used; it is named.
    """
    dtype, channels = features[0].dtype, features[0].shape[3]
    wide = _wide(dtype)
    output = np.zeros((len(rois), pooled_height, pooled_width, channels), wide)
    grid = pooled_height, pooled_width, spatial_scales, sampling_ratio, aligned
    for k, image, count, samples in _walk(features, rois, levels, *grid):
        for ph, pw, corners in samples:
            value = np.zeros(channels, wide)
            with np.errstate(all="ignore"):
                for corner, (weight, y, x) in enumerate(corners):
                    term = wide(weight) * image[y, x].astype(wide)
                    value = term if corner == 0 else value + term
                output[k, ph, pw] += value
        with np.errstate(all="ignore"):
            output[k] /= wide(count)
    with np.errstate(over="ignore"):
        return output.astype(dtype)


def roi_align_grad_reference(
    grad_output: np.ndarray,
    rois: np.ndarray,
    levels: np.ndarray,
    shapes: Sequence[tuple],
    spatial_scales: Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> list[np.ndarray]:
    """Gradients of the maps: each output's gradient shared out by the weights of its samples.

    Sums in (k, ph, pw, iy, ix, corner) order, in float32 for the half types.
    """
    wide = _wide(grad_output.dtype)
    totals = [np.zeros(shape, wide) for shape in shapes]
    grid = *grad_output.shape[1:3], spatial_scales, sampling_ratio, aligned
    for k, image, count, samples in _walk(totals, rois, levels, *grid):
        for ph, pw, corners in samples:
            for weight, y, x in corners:
                image[y, x] += grad_output[k, ph, pw].astype(wide) * wide(weight) / wide(count)
    return [total.astype(grad_output.dtype) for total in totals]


def _walk(maps, rois, levels, pooled_height, pooled_width, spatial_scales, ratio, aligned):
    """For each RoI (k, its image, the divisor, its samples inside: (ph, pw, four corners))."""
    for k, (roi, level) in enumerate(zip(np.asarray(rois, _F), levels, strict=True)):
        if not 0 <= level < len(maps):
            raise ValueError(f"rois row {k}: level {level} is outside [0, {len(maps)})")
        n, height, width, _ = maps[level].shape
        if not 0 <= roi[0] < n:
            raise ValueError(f"rois row {k}: batch index {roi[0]} is outside [0, {n})")
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = roi[1:] * _F(spatial_scales[level]) - _F(0.5 if aligned else 0)
            extent = scaled[2:] - scaled[:2]
        if not np.isfinite([*scaled, *extent]).all():
            raise ValueError(f"rois row {k}: coordinates {roi[1:]} are not finite")
        if not aligned:
            extent = np.maximum(extent, _F(1))
        axes = []
        for start, size, bins, limit in (
            (scaled[1], extent[1], pooled_height, height),
            (scaled[0], extent[0], pooled_width, width),
        ):
            bin_size = _F(size) / _F(bins)
            count = ratio if ratio > 0 else int(np.ceil(bin_size))
            if count > MAX_SAMPLES:
                raise ValueError(f"rois row {k}: {count} samples a bin, at most {MAX_SAMPLES}")
            axes.append((count, _axis(_F(start), bin_size, bins, count, limit)))
        (rows, of_rows), (columns, of_columns) = axes
        divisor = max(rows * columns, 1) if min(rows, columns) > 0 else 1
        yield k, maps[level][int(roi[0])], divisor, _samples(of_rows, of_columns)


def _axis(start, bin_size, bins, count, limit) -> list[list[tuple]]:
    """For each bin the samples inside the map: (low cell, high cell, weight of each)."""
    found = []
    for p in range(bins):
        found.append([])
        for i in range(count if limit else 0):
            at = (start + _F(p) * bin_size) + ((_F(i) + _F(0.5)) * bin_size) / _F(count)
            if at < -1 or at > limit:
                continue
            at = max(at, _F(0))
            low = int(np.floor(at))
            if low >= limit - 1:
                found[-1].append((limit - 1, limit - 1, _F(1), _F(0)))
            else:
                fraction = _F(at) - _F(low)
                found[-1].append((low, low + 1, _F(1) - fraction, fraction))
    return found


def _samples(of_rows, of_columns):
    for ph, rows in enumerate(of_rows):
        for pw, columns in enumerate(of_columns):
            for y0, y1, hy, ly in rows:
                for x0, x1, hx, lx in columns:
                    corners = (hy * hx, y0, x0), (hy * lx, y0, x1), (ly * hx, y1, x0)
                    yield ph, pw, (*corners, (ly * lx, y1, x1))


def _wide(dtype):
    return np.float64 if dtype == np.float64 else np.float32
