"""SPPnet's windows: which cells of which scale's feature map a box reads (He et al. 2014, 4.1).

Shape letters: B boxes of an image.
"""

from typing import NamedTuple

import numpy as np

TARGET_SIDE = 208  # pixels: the side of 13 cells that a window shall have after scaling


class CellGrid(NamedTuple):
    """Where the cells of a trunk's feature map stand in the image."""

    stride: int = 16
    center: float = 8.0  # of the first cell, in pixels; 20.5 for the paper's ZF-5
    slack: float = 0.0  # pixels that a centre may lie outside of a window; 1 for ZF-5


ZF5 = CellGrid(16, 20.5, 1.0)


def window_cells(boxes: np.ndarray, map_size: tuple[int, int], grid: CellGrid) -> np.ndarray:
    """First and last cells (x1, y1, x2, y2) of each box, int64 [B, 4], last ones included.

    They are the cells whose centres lie in the box, or, where there is none, the one in the middle,
    all within the map. RoI pooling with a spatial scale of 1 takes them as they are: it forms its
    bins on these cells, as the released code does, not on the box.

    Args:
        boxes: [B, 4] in pixels of the scaled image.
        map_size: (height, width) of the feature map.
    """
    boxes = np.asarray(boxes, np.float64)
    first = np.floor((boxes[:, :2] - grid.center - grid.slack) / grid.stride + 1)
    last = np.ceil((boxes[:, 2:] - grid.center + grid.slack) / grid.stride - 1)
    # The released code counts from 1 and truncates toward zero.
    middle = np.trunc((first + last + 2) / 2) - 1
    is_empty = first > last
    cells = [np.where(is_empty, middle, first), np.where(is_empty, middle, last)]
    limit = np.array(map_size[::-1]) - 1
    return np.concatenate([np.clip(c, 0, limit) for c in cells], axis=1).astype(np.int64)


def best_scales(
    boxes: np.ndarray, shorter_side: int, scales: tuple[int, ...], target: int = TARGET_SIDE
) -> np.ndarray:
    """At which of the scales each box is most nearly as large as a square of `target` pixels.

    Sides are compared, not areas; of equally near scales the first is taken.

    Args:
        boxes: [B, 4] in pixels of the original image.
        shorter_side: of that image.
        scales: shorter sides of the scaled images.

    Returns:
        places in `scales`, int64 [B].
    """
    size = np.maximum(np.asarray(boxes, np.float64)[:, 2:] - boxes[:, :2], 0)
    side = np.sqrt(np.maximum(size.prod(axis=1), 1e-12))
    wanted = np.floor(target * shorter_side / side + 0.5)
    return np.abs(np.array(scales)[None] - wanted[:, None]).argmin(axis=1)


def merged(scales: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first of each set of windows that read the same cells of the same scale.

    Args:
        scales: [B].
        cells: [B, 4].

    Returns:
        places of the distinct ones, [U] ascending, and index [B] such that window b has the
        features of place[index[b]].
    """
    keys = np.concatenate([scales[:, None], cells], axis=1)
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[index.reshape(-1)]
