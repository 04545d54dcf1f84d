"""RoI max pooling from TensorFlow's own ops: the version that needs no compiler.

Shape letters: N images, H x W cells of the feature map, C channels, K RoIs, B bins of a RoI.

The maximum of a bin of h x w cells is the maximum of the four rectangles of 2^i x 2^j cells in
its corners, where 2^i and 2^j are the largest powers of two that fit. So the maxima of all such
rectangles are computed once on the map (a two-dimensional sparse table), and every bin gathers
four rows of them: time and memory do not depend on how large the RoIs are. A SavedModel that
holds these ops loads without this package.

Values are compared as integers in the order of the floats ("keys"): TensorFlow's threads treat
subnormal floats as zero in comparisons, and the order of integers is the same everywhere.
"""

from collections.abc import Sequence

import tensorflow as tf

# Elements of the output pooled at a time, so that temporaries stay in the processor's cache.
CHUNK_ELEMENTS = 1 << 20


def pool_grids(
    features: tf.Tensor,
    rois: tf.Tensor,
    grids: Sequence[tuple[int, int]],
    spatial_scale: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """RoI max pooling on one or several grids of bins, with built-in ops.

    Args:
        features, rois, spatial_scale: as for `custom_ops.roi_pool`.
        grids: (pooled_height, pooled_width) of each.

    Returns:
        `(output, argmax)` as from `custom_ops.roi_pool`, both [K, B, C]: the bins of the first
        grid row by row, then those of the next.
    """
    bins = _Bins(rois, tf.shape(features), grids, spatial_scale)
    argmax = _argmax(features, bins)

    @tf.custom_gradient
    def pool(features):
        # Apart from the argmax, so that a graph which needs only one of them drops the other.
        # Which of 0.0 and -0.0, which are equal, came first is known only with the argmax.
        output = tf.cond(
            tf.reduce_any(_keys(features) == -1),
            lambda: _values_at(_argmax(features, bins), features, bins),
            lambda: _values(features, bins),
        )
        return output, lambda grad_output: _scatter(grad_output, argmax, bins)

    return pool(features), argmax


class _Bins:
    """Image `batch` [K] of the RoIs and half-open bounds of their bins, each [K, B]."""

    def __init__(self, rois, map_shape, grids, spatial_scale):
        self.map_shape = map_shape  # N, H, W, C
        # C's round: halves away from zero. All of this is float32, as the definition demands.
        scaled = rois[:, 1:] * tf.constant(spatial_scale, tf.float32)
        magnitude = tf.abs(scaled)
        whole = tf.floor(magnitude)
        corners = tf.sign(scaled) * (whole + tf.cast(magnitude - whole >= 0.5, tf.float32))
        start = corners[:, :2]
        extent = tf.maximum(corners[:, 2:] - start + 1, 1)

        finite = tf.reduce_all(tf.math.is_finite(tf.concat([corners, extent], axis=1)), axis=1)
        n = map_shape[0]
        in_batch = (rois[:, 0] >= 0) & (rois[:, 0] < tf.cast(n, tf.float32))
        checks = [
            _assert_rows(in_batch, rois, "batch index outside [0, N), N =", n),
            _assert_rows(finite, rois, "non-finite coordinate at spatial scale", spatial_scale),
        ]
        with tf.control_dependencies(checks):
            self.batch = tf.cast(rois[:, 0], tf.int32)

        def bounds(axis, bin_count, limit):
            # Not `/`: the graph optimizer turns (size / P) * p into size * (p / P), which rounds
            # differently.
            bin_size = tf.math.divide_no_nan(extent[:, axis, None], tf.cast(bin_count, tf.float32))
            p = tf.range(bin_count, dtype=tf.float32)
            lower = tf.floor(p * bin_size) + start[:, axis, None]
            upper = tf.math.ceil((p + 1) * bin_size) + start[:, axis, None]
            limit = tf.cast(limit, tf.float32)
            return [tf.cast(tf.clip_by_value(b, 0, limit), tf.int32) for b in (lower, upper)]

        by_row = [[tf.repeat(b, w, 1) for b in bounds(1, h, map_shape[1])] for h, w in grids]
        by_column = [[tf.tile(b, [1, h]) for b in bounds(0, w, map_shape[2])] for h, w in grids]
        self.top, self.bottom = (tf.concat(b, 1) for b in zip(*by_row, strict=True))
        self.left, self.right = (tf.concat(b, 1) for b in zip(*by_column, strict=True))
        self.empty = (self.bottom <= self.top) | (self.right <= self.left)

    def flat_index(self, argmax):
        """Index of position `argmax` [K, B, C] into the flattened map, -1 where it is -1."""
        _, h, w, c = tf.unstack(tf.cast(self.map_shape, tf.int64))
        first = tf.cast(self.batch, tf.int64)[:, None, None] * (h * w)
        cell = first + tf.cast(argmax, tf.int64)
        return tf.where(argmax >= 0, cell * c + tf.range(c), -1)


def _assert_rows(good, rois, complaint, value):
    bad = tf.where(~good)[:1]
    data = ["rois row", bad[:, 0], "is", tf.gather_nd(rois, bad), ":", complaint, value]
    return tf.debugging.Assert(tf.reduce_all(good), data, summarize=5)


def _keys(features):
    """Integers in the order of the features: 0 for 0.0, -1 for -0.0; NaN and -inf as the lowest."""
    features = tf.where(features > features.dtype.min, features, features.dtype.min)
    if features.dtype != tf.float64:
        features = tf.cast(features, tf.float32)
    return _mirror_negatives(tf.bitcast(features, _key_dtype(features)))


def _key_dtype(features):
    return tf.int64 if features.dtype == tf.float64 else tf.int32


def _mirror_negatives(x):
    return tf.where(x < 0, tf.bitwise.bitwise_xor(x, x.dtype.max), x)


def _values(features, bins):
    """Output [K, B, C], right where the map has no -0.0."""
    wide = tf.float64 if features.dtype == tf.float64 else tf.float32

    def to_floats(key):
        return tf.cast(tf.bitcast(_mirror_negatives(key), wide), features.dtype)

    return _pool_rectangles([_keys(features)], [0], _greater, bins, to_floats, features.dtype)


def _argmax(features, bins):
    """Position y * W + x of the first maximum of every bin, [K, B, C] int32, or -1."""
    keys = _keys(features)
    _, h, w, _ = tf.unstack(bins.map_shape)
    position = tf.reshape(tf.range(h * w), [1, h, w, 1])
    position = tf.where(features > features.dtype.min, position, -1)
    keys = tf.where(keys == -1, tf.zeros_like(keys), keys)  # zeros of both signs are equal
    return _pool_rectangles(
        [keys, position], [0, -1], _first_greatest, bins, lambda _, position: position, tf.int32
    )


def _greater(a, b):
    return [tf.maximum(a[0], b[0])]


def _first_greatest(a, b):
    take_b = (b[0] > a[0]) | ((b[0] == a[0]) & (b[1] < a[1]))
    return [tf.where(take_b, y, x) for x, y in zip(a, b, strict=True)]


def _pool_rectangles(cells, empty, combine, bins, finish, dtype):
    """`finish(*combine over each bin's cells)` as [K, B, C] of `dtype`.

    `cells` are tensors [N, H, W, C] that `combine` reduces together, `empty` their values in an
    empty bin. `combine` must not mind meeting a cell twice.
    """
    n, h, w, c = tf.unstack(bins.map_shape)
    height, width = bins.bottom - bins.top, bins.right - bins.left
    level_y, level_x = _floor_log2(height), _floor_log2(width)
    levels_y, levels_x = (
        tf.reduce_max(tf.pad(v, [[1, 0], [0, 0]])) + 1 for v in (level_y, level_x)
    )
    tables = _sparse_tables(cells, empty, combine, levels_y, levels_x)

    # The table of level (i, j) starts at row (i * levels_x + j) * N * H * W; the last row is empty.
    level = level_y * levels_x + level_x
    image = tf.cast(level * n + bins.batch[:, None], tf.int64) * tf.cast(h * w, tf.int64)
    rows = []
    for y in (bins.top, bins.bottom - tf.bitwise.left_shift(1, level_y)):
        for x in (bins.left, bins.right - tf.bitwise.left_shift(1, level_x)):
            row = image + tf.cast(y * w + x, tf.int64)
            last = tf.shape(tables[0], tf.int64)[0] - 1
            rows.append(tf.reshape(tf.where(bins.empty, last, row), [-1]))
    rows = tf.stack(rows)

    chunk = CHUNK_ELEMENTS // tf.maximum(c, 1) + 1
    count = tf.maximum((tf.shape(rows)[1] + chunk - 1) // chunk, 1)

    def pool_chunk(i, outputs):
        of_chunk = rows[:, i * chunk : (i + 1) * chunk]
        pooled = [tf.gather(table, of_chunk[0]) for table in tables]
        for corner in range(1, 4):
            pooled = combine(pooled, [tf.gather(table, of_chunk[corner]) for table in tables])
        return i + 1, outputs.write(i, finish(*pooled))

    outputs = tf.TensorArray(
        dtype, count, infer_shape=False, element_shape=[None, cells[0].shape[-1]]
    )
    _, outputs = tf.while_loop(
        lambda i, _: i < count, pool_chunk, (0, outputs), parallel_iterations=1
    )
    return tf.reshape(outputs.concat(), tf.concat([tf.shape(bins.empty), [c]], axis=0))


def _floor_log2(x):
    """floor(log2(x)) of int32 from 1 to 2^24: the exponent of the float; 0 below 1."""
    bits = tf.bitcast(tf.cast(tf.maximum(x, 1), tf.float32), tf.int32)
    return tf.bitwise.right_shift(bits, 23) - 127


def _sparse_tables(cells, empty, combine, levels_y, levels_x):
    """For each of `cells` the rows [levels_y * levels_x * N * H * W + 1, C] of all rectangles.

    Level (i, j) holds at (y, x) the combination of the 2^i x 2^j cells from there on, cut off at
    the map's edge.
    """
    static = [tensor.shape for tensor in cells]
    channels = static[0][-1]
    size = levels_y * levels_x + 1
    rows = [
        tf.TensorArray(tensor.dtype, size, infer_shape=False, element_shape=[None, channels])
        for tensor in cells
    ]

    def doubled(tensors, level, axis):
        limit = tf.shape(tensors[0])[axis]
        ahead = tf.minimum(tf.range(limit) + tf.bitwise.left_shift(1, level), limit - 1)
        return combine(tensors, [tf.gather(tensor, ahead, axis=axis) for tensor in tensors])

    def flat(tensor):
        return tf.reshape(tensor, [-1, tf.shape(tensor)[-1]])

    def add_level_y(i, tensors, rows):
        def add_level_x(j, tensors, rows):
            rows = [
                array.write(i * levels_x + j, flat(tensor))
                for array, tensor in zip(rows, tensors, strict=True)
            ]
            return j + 1, doubled(tensors, j, axis=2), rows

        _, _, rows = tf.while_loop(lambda j, *_: j < levels_x, add_level_x, (0, tensors, rows))
        return i + 1, doubled(tensors, i, axis=1), rows

    _, _, rows = tf.while_loop(lambda i, *_: i < levels_y, add_level_y, (0, cells, rows))
    for k, (array, value) in enumerate(zip(rows, empty, strict=True)):
        last = tf.fill([1, tf.shape(cells[0])[-1]], tf.cast(value, cells[k].dtype))
        rows[k] = array.write(size - 1, last).concat()
    return rows


def _values_at(argmax, features, bins):
    index = bins.flat_index(argmax)
    values = tf.gather(tf.reshape(features, [-1]), tf.maximum(index, 0))
    none = tf.where(bins.empty, tf.zeros([], features.dtype), features.dtype.min)[..., None]
    return tf.where(argmax >= 0, values, none)


def _scatter(grad_output, argmax, bins):
    """The gradient of the features: each output's gradient at its argmax, summed in float32."""
    wide = tf.float64 if grad_output.dtype == tf.float64 else tf.float32
    count = tf.reduce_prod(tf.cast(bins.map_shape, tf.int64))
    total = tf.math.unsorted_segment_sum(
        tf.reshape(tf.cast(grad_output, wide), [-1]),
        tf.reshape(bins.flat_index(argmax), [-1]),  # negative ids are dropped
        count,
    )
    return tf.cast(tf.reshape(total, bins.map_shape), grad_output.dtype)
