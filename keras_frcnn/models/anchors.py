"""Anchors: the reference boxes of a region proposal network (Ren et al. 2015, section 3.1.1).

At every cell of the feature map stand the same A boxes, one for each ratio and scale. They are
boxes as everywhere in this project, continuous and with their corners on whole pixels.

Shape letters: H' x W' cells of the feature map, A anchors a cell, I anchors inside the image.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

SCALES = (8.0, 16.0, 32.0)  # the paper's 128, 256 and 512 pixels
RATIOS = (0.5, 1.0, 2.0)  # height over width


def base_anchors(
    scales: Sequence[float] = SCALES, ratios: Sequence[float] = RATIOS, base: int = 16
) -> np.ndarray:
    """The anchors of the first cell, ratios outside and scales inside: float32 [A, 4].

    Height and width of a ratio are rounded for a box of `base` x `base` pixels and multiplied by
    the scale afterwards, as the authors' code does it: 23 x 12 becomes 184 x 96 at scale 8, 7.8%
    more than 128 x 128. Sides that come out odd or fractional, which the authors' do not, are
    rounded to even pixels: with fractional coordinates ties between IoUs would be broken by
    rounding.

    Args:
        scales: sides in units of `base`.
        ratios: height over width.
        base: pixels a cell, the trunk's stride; the anchors are centred on (base / 2, base / 2).
    """
    anchors = []
    for ratio in ratios:
        width = np.round(np.sqrt(base * base / ratio))
        height = np.round(width * ratio)
        for scale in scales:
            half = np.maximum(np.round(np.array([width, height]) * scale / 2), 1)
            anchors.append(np.concatenate([base / 2 - half, base / 2 + half]))
    return np.array(anchors, np.float32).reshape(-1, 4)


def anchor_grid(map_height, map_width, base: np.ndarray, stride: int) -> tf.Tensor:
    """The anchors of every cell, in the order (y, x, a) of a map with channels last.

    Args:
        map_height, map_width: H' and W'.
        base: those of the first cell, [A, 4].
        stride: pixels from cell to cell.

    Returns:
        float32 [H' * W' * A, 4]; row (y * W' + x) * A + a is base[a] + stride * (x, y, x, y).
    """
    y, x = tf.meshgrid(tf.range(map_height), tf.range(map_width), indexing="ij")
    shifts = tf.cast(tf.stack([x, y, x, y], axis=-1) * stride, tf.float32)
    return tf.reshape(shifts[:, :, None] + tf.convert_to_tensor(base, tf.float32), [-1, 4])


def cells_of(size: tf.Tensor, stride: int) -> tf.Tensor:
    """The rows and columns of cells whose anchors count in images of these pixels, int32 [...].

    A last cell that would begin less than a stride before the border is left out: some trunks have
    one and others not, and no anchor of it is ever trained. So an image has the same anchors
    whatever the trunk, and in a batch with a larger one.
    """
    return tf.maximum(tf.cast(size, tf.int32) // stride, 1)


def anchor_boxes(index: tf.Tensor, base: np.ndarray, stride: int) -> tf.Tensor:
    """The boxes [..., 4] of anchors by their places (y, x, a), int [..., 3]."""
    y, x, a = tf.unstack(index, axis=-1)
    shifts = tf.cast(tf.stack([x, y, x, y], axis=-1) * stride, tf.float32)
    return tf.gather(tf.convert_to_tensor(base, tf.float32), a) + shifts


def inside_anchors(size: tf.Tensor, base: np.ndarray, stride: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The anchors wholly inside an image, the only ones to train on (section 3.1.3).

    Args:
        size: (height, width) of the image in pixels, [2].
        base, stride: as for `anchor_grid`.

    Returns:
        boxes [I, 4] and index int32 [I, 3], rows (y, x, a), in the order of the grid.
    """
    rows, columns = tf.unstack(cells_of(size, stride))
    grid = tf.reshape(
        anchor_grid(rows, columns, base, stride), [rows, columns, tf.shape(base)[0], 4]
    )
    height, width = tf.unstack(tf.cast(size, tf.float32))
    is_inside = tf.reduce_all(grid[..., :2] >= 0, axis=-1)
    is_inside &= (grid[..., 2] <= width) & (grid[..., 3] <= height)
    return tf.boolean_mask(grid, is_inside), tf.cast(tf.where(is_inside), tf.int32)


def inside_cells(sizes: np.ndarray, base: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the anchors of `inside_anchors` stand, for many images at once: in rectangles.

    Args:
        sizes: (height, width) of N images, [N, 2].
        base, stride: as for `anchor_grid`.

    Returns:
        the first and the last cell (row, column) of each anchor inside each image, both int
        [N, A, 2]. An anchor without a place has a last cell before the first.
    """
    sizes = np.asarray(sizes)[:, None]
    low, high = base[:, [1, 0]], base[:, [3, 2]]
    last = np.floor((sizes - high) / stride)
    last = np.minimum(last, np.maximum(sizes // stride, 1) - 1).astype(int)
    first = np.maximum(np.ceil(-low / stride), 0).astype(int)
    return np.broadcast_to(first, last.shape), last
