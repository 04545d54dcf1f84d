"""Scales of anchors that suit the objects of a data set at the size at which it is trained on.

As in YOLOv2 (Redmon and Farhadi 2017, section 2, "dimension clusters") the distance of an object
from an anchor is 1 - IoU, and the clusters' centres are looked for that are nearest on average.
Here a centre is a scale from a grid, with all ratios; the anchors stand where they will stand, in
the cells of the feature map and inside the image; and an IoU above that of a positive anchor is
worth no more.

Shape letters: M objects, A anchors a cell, G scales of the grid.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_frcnn.batches.scaled_objects import ScaledObjects
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import RATIOS, base_anchors, inside_cells

# Four steps from a scale to its double. Squares of these have sides of whole, even pixels.
GRID = tuple(quarter / 4 * 2.0**octave for octave in range(-1, 7) for quarter in (4, 5, 6, 7))
MOST_OBJECTS = 10_000  # that are looked at, evenly spaced; more would change nothing
ENOUGH_IOU = 0.7  # makes an anchor positive


def suggest_scales(
    objects: ScaledObjects,
    count: int = 3,
    ratios: Sequence[float] = RATIOS,
    stride: int = 16,
    fg_iou: float = ENOUGH_IOU,
) -> tuple[float, ...]:
    """The scales, ascending, that reach the objects best: the highest mean of min(IoU, `fg_iou`).

    The IoU is that of each object with its best anchor inside the image. Squares of each scale have
    a place in half of the images and anchors of any ratio in a tenth, so that none is idle for
    want of places. Fewer than `count` scales come back if the images have room for no more.

    Args:
        objects: of the data set, scaled as in training.
        count: how many scales.
        ratios: height over width, each with every scale.
        stride: pixels a cell.
        fg_iou: what makes an anchor positive.

    Raises:
        InputError: the images have no room for any anchor.
    """
    grid = [scale for scale in GRID if _has_room(objects.sizes, scale, ratios, stride)]
    if not grid:
        raise InputError(
            f"--min-side: the images of {objects.name} have no room for any anchor, scale them to "
            "larger sizes"
        )
    iou = best_overlaps(_thinned(objects), base_anchors(grid, ratios, stride), stride)
    iou = iou.reshape(-1, len(ratios), len(grid)).max(axis=1)
    # The rest decides between scales that are all good enough.
    gain = np.minimum(iou, fg_iou) + 0.01 * iou
    return tuple(grid[g] for g in _medoids(gain, min(count, len(grid))))


def best_overlaps(objects: ScaledObjects, base: np.ndarray, stride: int) -> np.ndarray:
    """The highest IoU of each object with each anchor, over all places inside its image.

    Intersection is the product of what is shared across and down, and each is largest at the
    centre nearest to the object's: there is no need to try all places.

    Args:
        base, stride: the anchors, as for `anchors.anchor_grid`.

    Returns:
        float64 [M, A]; 0 for an anchor that has no place.
    """
    first, last = (cells[objects.image] for cells in inside_cells(objects.sizes, base, stride))
    boxes = objects.boxes.astype(np.float64)
    center = (boxes[:, 1::-1] + boxes[:, :1:-1])[:, None] / 2  # (y, x), [M, 1, 2]
    anchor_center = (base[:, 1::-1] + base[:, :1:-1]) / 2  # of the first cell, [A, 2]
    cell = np.clip(np.round((center - anchor_center) / stride), first, np.maximum(first, last))
    shift = cell * stride
    shared = np.minimum(boxes[:, None, :1:-1], base[:, :1:-1] + shift)
    shared -= np.maximum(boxes[:, None, 1::-1], base[:, 1::-1] + shift)
    common = np.prod(np.maximum(shared, 0), axis=2)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = areas[:, None] + np.prod(base[:, 2:] - base[:, :2], axis=1) - common
    return np.where((last >= first).all(axis=2), common / union, 0)


def _has_room(sizes: np.ndarray, scale: float, ratios: Sequence[float], stride: int) -> bool:
    """Whether squares of the scale fit half of the images, and every anchor a tenth."""
    fits = []
    for of in ((1.0,), ratios):
        first, last = inside_cells(sizes, base_anchors((scale,), of, stride), stride)
        fits.append((last >= first).all(axis=2).mean(axis=0).min())
    return fits[0] >= 0.5 and fits[1] >= 0.1


def _thinned(objects: ScaledObjects) -> ScaledObjects:
    """At most `MOST_OBJECTS` of the objects."""
    step = -(-len(objects.boxes) // MOST_OBJECTS)
    return replace(objects, boxes=objects.boxes[::step], image=objects.image[::step])


def _medoids(gain: np.ndarray, count: int) -> list[int]:
    """The `count` columns of `gain` [M, G], ascending, with the highest mean of the rows' maxima.

    Each row rises to its highest value and falls from there. Of the columns chosen, one of the two
    on either side of that has the row's maximum, so that the sum is one over neighbours and the
    best choice is found by dynamic programming, as that of k-medians on a line.
    """
    columns = gain.shape[1]
    is_peak = np.eye(columns)[gain.argmax(axis=1)].T  # [G, M]
    # Row i, column j: what the rows with a peak from i on, and before j, reach by these two.
    between = np.zeros((columns, columns))
    for i in range(columns):
        by_peak = is_peak @ np.maximum(gain[:, i, None], gain)
        between[i] = [by_peak[i:j, j].sum() for j in range(columns)]
    own = is_peak @ gain  # by peak and column
    before = np.array([own[:j, j].sum() for j in range(columns)])
    after = own.sum(axis=0) - before
    # Columns that would bring nothing more come near those that bring something.
    alone = 1e-6 * gain.sum(axis=0)

    value, came_from = before + alone, []
    for _ in range(count - 1):
        sums = np.where(np.tri(columns, dtype=bool), -np.inf, value[:, None] + between + alone)
        came_from.append(sums.argmax(axis=0))
        value = sums.max(axis=0)
    chosen = [int((value + after).argmax())]
    for previous in reversed(came_from):
        chosen.append(int(previous[chosen[-1]]))
    return chosen[::-1]
