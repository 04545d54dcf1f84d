"""From the mask of a box, M x M probabilities, to the pixels of the image (He et al. 2017, 3.1).

The rule is detectron2's, which is continuous: a pixel asks at its centre what the mask says there.
Nothing here needs TensorFlow.

Shape letters: D detections, M x M cells of a mask, H x W pixels.
"""

import numpy as np


def paste(mask: np.ndarray, box: np.ndarray, height: int, width: int, threshold: float = 0.5):
    """The pixels of one object, bool [H, W].

    The pixel with the centre (x + 0.5, y + 0.5) lies at u = (x + 0.5 - x1) / (x2 - x1) * M - 0.5 of
    the mask's columns, and likewise of its rows. It is inside if the bilinear value there, with
    zeros around the mask, is at least the threshold. A mask of ones sets just the pixels whose
    centres lie in the box, the border included.

    Args:
        mask: [M, M], probabilities in the frame of the box.
        box: (x1, y1, x2, y2) in pixels of the image; one without area has no pixels.
    """
    pixels = np.zeros((height, width), bool)
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    if not (x2 > x1 and y2 > y1):
        return pixels
    rows, columns = _visited(y1, y2, height), _visited(x1, x2, width)
    by_row = _weights(rows, y1, y2, mask.shape[0])
    by_column = _weights(columns, x1, x2, mask.shape[1])
    value = by_row @ np.asarray(mask, np.float64) @ by_column.T
    # The sum of two weights of 0.5 is 1 up to a rounding, which shall not take the rim away.
    pixels[rows.start : rows.stop, columns.start : columns.stop] = value >= threshold - 1e-9
    return pixels


def _visited(first: float, last: float, size: int) -> range:
    """The rows or columns of which a pixel may be inside."""
    start = int(np.clip(np.floor(first) - 1, 0, size))
    return range(start, max(int(np.clip(np.ceil(last) + 1, 0, size)), start))


def _weights(pixels: range, first: float, last: float, cells: int) -> np.ndarray:
    """What each cell counts for each pixel along an axis, [pixels, cells]; two at most do."""
    position = (np.arange(pixels.start, pixels.stop) + 0.5 - first) / (last - first) * cells - 0.5
    return np.maximum(1 - np.abs(position[:, None] - np.arange(cells)), 0)
