"""RoIAlign from TensorFlow's own ops: the version that needs no compiler.

Shape letters: N images, H x W cells of a feature map, C channels, K RoIs, PH x PW bins.

A loop over the samples of a bin, up to the largest number that a RoI has: each step gathers the
four corners of one sample of every bin, and adds nothing for the bins that have no such sample.
The additions come in the order of the definition, so the result is the op's to the bit. A
SavedModel that holds these ops loads without this package.
"""

from collections.abc import Sequence

import tensorflow as tf

from keras_frcnn.custom_ops.align_reference import MAX_SAMPLES

# Elements of the output at a time, so that temporaries stay small.
CHUNK_ELEMENTS = 1 << 22


def align_levels(
    maps: Sequence[tf.Tensor],
    rois: tf.Tensor,
    levels: tf.Tensor,
    spatial_scales: Sequence[float],
    grid: tuple[int, int, int, bool],
) -> tf.Tensor:
    """RoIAlign with built-in ops: each map with its RoIs, then all in their order.

    Args:
        maps, rois, levels, spatial_scales: as for `custom_ops.roi_align`, which has checked them.
        grid: pooled height and width, sampling ratio (0: adaptive), and whether aligned.

    Returns:
        [K, PH, PW, C].
    """
    rois = tf.stop_gradient(rois)
    is_level = (levels >= 0) & (levels < len(maps))
    with tf.control_dependencies([_assert_rows(is_level, rois, "level outside", len(maps))]):
        levels = tf.identity(levels)
    if len(maps) == 1:
        return _align(maps[0], rois, tf.range(tf.shape(rois)[0]), spatial_scales[0], grid)
    places = [tf.where(levels == level)[:, 0] for level in range(len(maps))]
    outputs = [
        _align(values, tf.gather(rois, own), tf.cast(own, tf.int32), scale, grid)
        for values, own, scale in zip(maps, places, spatial_scales, strict=True)
    ]
    order = tf.argsort(tf.concat(places, axis=0))
    return tf.gather(tf.concat(outputs, axis=0), order)


def _align(features, rois, numbers, scale, grid):
    height, width, _, _ = grid
    wide = tf.float64 if features.dtype == tf.float64 else tf.float32
    axes = _Axes(rois, numbers, tf.shape(features), scale, grid)

    @tf.custom_gradient
    def align(features):
        output = _in_chunks(tf.cast(features, wide), axes, height * width)
        output = tf.cast(output, features.dtype)
        shape = tf.shape(features)

        def gradient(grad_output):
            grad = tf.cond(  # TensorFlow scatters nothing into an empty tensor
                tf.size(features) > 0,
                lambda: _scatter(tf.cast(grad_output, wide), axes, shape),
                lambda: tf.zeros(shape, wide),
            )
            return tf.cast(grad, features.dtype)

        k = tf.shape(rois)[0]
        return tf.reshape(output, tf.stack([k, height, width, shape[3]])), gradient

    output = align(features)
    output.set_shape([rois.shape[0], height, width, features.shape[3]])
    return output


class _Axes:
    """Where the RoIs' bins lie on both axes of the map: rows [K, PH], columns [K, PW]."""

    def __init__(self, rois, numbers, map_shape, scale, grid):
        height, width, ratio, aligned = grid
        self.map_shape = map_shape
        # All of this is float32, each operation rounded by itself, as the definition demands.
        scaled = rois[:, 1:] * tf.constant(scale, tf.float32) - (0.5 if aligned else 0.0)
        start, extent = scaled[:, :2], scaled[:, 2:] - scaled[:, :2]
        finite = tf.reduce_all(tf.math.is_finite(tf.concat([scaled, extent], 1)), axis=1)
        if not aligned:
            extent = tf.maximum(extent, 1.0)
        in_batch = (rois[:, 0] >= 0) & (rois[:, 0] < tf.cast(map_shape[0], tf.float32))
        # Not `/`, here and below: the graph optimizer would move constants about.
        bins = tf.constant([width, height], tf.float32)
        bin_size = tf.math.divide_no_nan(extent, bins)
        if ratio > 0:
            counts = tf.fill(tf.shape(bin_size), float(ratio))
        else:
            counts = tf.maximum(tf.math.ceil(bin_size), 0.0)
        few = tf.reduce_all(counts <= MAX_SAMPLES, axis=1)
        checks = [
            _assert_rows(in_batch, rois, "batch index outside [0, N), N =", map_shape[0], numbers),
            _assert_rows(finite, rois, "non-finite coordinate at spatial scale", scale, numbers),
            _assert_rows(few | ~finite, rois, "samples a bin, more than", MAX_SAMPLES, numbers),
        ]
        with tf.control_dependencies(checks):
            counts = tf.where(tf.reduce_min(counts, axis=1, keepdims=True) > 0, counts, 0.0)
        self.image = tf.cast(rois[:, 0], tf.int32)
        self.counts = tf.cast(counts, tf.int32)  # [K, 2], of x and y
        self.divisor = tf.cast(tf.maximum(tf.reduce_prod(self.counts, axis=1), 1), tf.int32)
        self.limits = map_shape[2], map_shape[1]
        self._bin_starts = [
            start[:, a, None] + tf.range(n, dtype=tf.float32) * bin_size[:, a, None]
            for a, n in enumerate((width, height))
        ]
        self._bin_sizes = bin_size

    def sample(self, axis: int, i: tf.Tensor, k: slice):
        """Sample i of every bin of the RoIs k on an axis, 0 for x.

        Returns:
            the two cells, their weights, and whether the bin has the sample: each [K, P].
        """
        counts = self.counts[k, axis, None]
        step = (tf.cast(i, tf.float32) + 0.5) * self._bin_sizes[k, axis, None]
        step = tf.math.divide_no_nan(step, tf.cast(counts, tf.float32))
        at = self._bin_starts[axis][k] + step
        limit = self.limits[axis]
        has = (i < counts) & (at >= -1.0) & (at <= tf.cast(limit, tf.float32)) & (limit > 0)
        at = tf.where(has, tf.maximum(at, 0.0), 0.0)
        low = tf.cast(at, tf.int32)
        is_last = low >= limit - 1
        fraction = tf.where(is_last, 0.0, at - tf.cast(low, tf.float32))
        low = tf.where(is_last, tf.maximum(limit - 1, 0), low)
        high = tf.where(is_last, low, low + 1)
        return (low, high), (1.0 - fraction, fraction), has

    def corners(self, iy: tf.Tensor, ix: tf.Tensor, k: slice):
        """Flat cells and float32 weights of the four corners of sample (iy, ix) of every bin.

        Returns:
            four pairs of [K * PH * PW], and whether a bin has the sample, [K * PH * PW, 1]; the
            cell is the first where it has not.
        """
        rows, row_weights, has_row = self.sample(1, iy, k)
        columns, column_weights, has_column = self.sample(0, ix, k)
        _, h, w, _ = tf.unstack(tf.cast(self.map_shape, tf.int64))
        first = tf.cast(self.image[k], tf.int64)[:, None, None] * (h * w)
        has = has_row[:, :, None] & has_column[:, None]
        found = []
        for row, row_weight in zip(rows, row_weights, strict=True):
            for column, column_weight in zip(columns, column_weights, strict=True):
                cell = first + tf.cast(row, tf.int64)[:, :, None] * w
                cell = tf.where(has, cell + tf.cast(column, tf.int64)[:, None], 0)
                weight = row_weight[:, :, None] * column_weight[:, None]
                found.append((tf.reshape(cell, [-1]), tf.reshape(weight, [-1, 1])))
        return found, tf.reshape(has, [-1, 1])


def _in_chunks(features, axes, bins):
    """Output [K * PH * PW, C], some RoIs at a time."""
    channels = tf.shape(features)[3]
    cells = tf.reshape(features, tf.stack([-1, channels]))
    cells = tf.pad(cells, [[0, tf.cast(tf.equal(tf.size(cells), 0), tf.int32)], [0, 0]])
    k = tf.shape(axes.image)[0]
    at_once = tf.maximum(CHUNK_ELEMENTS // tf.maximum(channels * bins, 1), 1)
    count = tf.maximum((k + at_once - 1) // at_once, 1)

    def one(chunk, outputs):
        own = slice(chunk * at_once, tf.minimum((chunk + 1) * at_once, k))

        def add(iy, ix, total):
            corners, has = axes.corners(iy, ix, own)
            value = None
            for cell, weight in corners:
                term = tf.cast(weight, total.dtype) * tf.gather(cells, cell)
                value = term if value is None else value + term
            return total + tf.where(has, value, 0)

        rows = tf.shape(axes.image[own])[0] * bins
        total = _over_samples(axes, own, add, tf.zeros(tf.stack([rows, channels]), cells.dtype))
        divisor = tf.cast(tf.repeat(axes.divisor[own], bins)[:, None], total.dtype)
        return chunk + 1, outputs.write(chunk, tf.math.divide(total, divisor))

    outputs = tf.TensorArray(
        cells.dtype, count, infer_shape=False, element_shape=[None, features.shape[3]]
    )
    _, outputs = tf.while_loop(
        lambda chunk, _: chunk < count, one, (0, outputs), parallel_iterations=1
    )
    return outputs.concat()


def _scatter(grad_output, axes, shape):
    """The gradient of the map, [N, H, W, C]."""
    channels = shape[3]
    flat = tf.reshape(grad_output, tf.stack([-1, channels]))
    bins = tf.shape(flat)[0] // tf.maximum(tf.shape(axes.image)[0], 1)
    divisor = tf.cast(tf.repeat(axes.divisor, bins)[:, None], flat.dtype)
    every = slice(None)

    def add(iy, ix, total):
        corners, has = axes.corners(iy, ix, every)
        own = tf.where(has[:, 0])[:, 0]
        for cell, weight in corners:
            share = flat * tf.cast(weight, flat.dtype) / divisor
            total = tf.tensor_scatter_nd_add(
                total, tf.gather(cell, own)[:, None], tf.gather(share, own)
            )
        return total

    total = tf.zeros(tf.stack([tf.reduce_prod(shape[:3]), channels]), flat.dtype)
    return tf.reshape(_over_samples(axes, every, add, total), shape)


def _over_samples(axes, own, add, total):
    """`total` after `add(iy, ix, total)` for every sample that a bin of the RoIs `own` may have."""
    most = tf.reduce_max(tf.pad(axes.counts[own], [[1, 0], [0, 0]]), axis=0)
    _, total = tf.while_loop(
        lambda i, _: i < most[0] * most[1],
        lambda i, total: (i + 1, add(i // most[0], i % most[0], total)),
        (0, total),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, total.shape[1]])),
        parallel_iterations=1,
    )
    return total


def _assert_rows(good, rois, complaint, value, numbers=None):
    bad = tf.where(~good)[:1]
    row = bad[:, 0] if numbers is None else tf.gather(numbers, bad[:, 0])
    data = ["rois row", row, "is", tf.gather_nd(rois, bad), ":", complaint, value]
    return tf.debugging.Assert(tf.reduce_all(good), data, summarize=5)
