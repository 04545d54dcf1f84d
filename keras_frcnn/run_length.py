"""Masks as COCO's run lengths, in which the project keeps them from loading to results.

A mask of an image [H, W] is a text of bytes, pycocotools' compressed `counts`: lengths of runs of
alternating zeros and ones, zeros first, column by column. All that draws, joins or measures is
pycocotools'; what it does not offer is the run lengths themselves, from which TensorFlow makes
bitmaps inside the input pipeline.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

_MOST_DIGITS = 7  # of a number of 32 bits, its sign included


def from_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> bytes:
    """The union of polygons, each x1, y1, x2, y2, ... of three corners at least.

    A pixel belongs to a polygon that its centre is inside of, by COCO's rules; what is outside the
    image is cut.

    Raises:
        ValueError: a polygon has fewer than three corners, or half of one.
    """
    if not polygons or any(len(p) < 6 or len(p) % 2 for p in polygons):
        raise ValueError("a polygon needs three corners at least, x and y of each")
    rows = [np.asarray(p, np.float64).tolist() for p in polygons]
    return coco_mask.merge(coco_mask.frPyObjects(rows, height, width))["counts"]


def from_bitmap(bitmap: np.ndarray) -> bytes:
    """Of an array [H, W], true inside the object."""
    return coco_mask.encode(np.asfortranarray(np.asarray(bitmap, bool), np.uint8))["counts"]


def from_box(box: Sequence[float], height: int, width: int) -> bytes:
    """A filled box (x1, y1, x2, y2), by the rules of polygons."""
    x1, y1, x2, y2 = map(float, box)
    return from_polygons([[x1, y1, x2, y1, x2, y2, x1, y2]], height, width)


def from_runs(runs: Sequence[int], height: int, width: int) -> bytes:
    """Of uncompressed run lengths.

    Raises:
        ValueError: they are not those of an image [height, width].
    """
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"the run lengths do not add up to {height} x {width} pixels")
    return coco_mask.frPyObjects({"size": [height, width], "counts": list(runs)}, height, width)[
        "counts"
    ]


def merge(masks: Sequence[bytes], height: int, width: int) -> bytes:
    """The union of masks, one at least."""
    return coco_mask.merge([as_rle(mask, height, width) for mask in masks])["counts"]


def to_bitmap(counts: bytes, height: int, width: int) -> np.ndarray:
    """The bitmap, uint8 [H, W]."""
    return coco_mask.decode(as_rle(counts, height, width))


def as_rle(counts: bytes, height: int, width: int) -> dict:
    """As pycocotools takes it."""
    return {"size": [height, width], "counts": counts}


def runs(counts: bytes) -> np.ndarray:
    """The run lengths, int64, zeros first.

    Each number is written five bits a character, the lowest first, with a sixth bit where more
    follow and the fifth of the last as its sign; from the fourth number on it is the difference to
    the one before the last.

    Raises:
        ValueError: the text ends within a number, or has other characters.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(digits):
        return np.zeros(0, np.int64)
    is_last = (digits & 0x20) == 0
    if not is_last[-1] or digits.min() < 0 or digits.max() > 0x3F:
        raise ValueError("is no text of run lengths")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts >= _MOST_DIGITS).any():  # pycocotools reads such numbers otherwise
        raise ValueError("is no text of run lengths")
    shift = 5 * (np.arange(len(digits)) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((digits & 0x1F) << shift, starts)
    sign = 5 * (ends - starts + 1)
    values -= np.where(digits[ends] & 0x10, 1 << sign, 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def check(counts: bytes, height: int, width: int) -> None:
    """Refuse a text that is not of a mask [height, width]; pycocotools would read past its end.

    Raises:
        ValueError: it is so.
    """
    lengths = runs(counts)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"the run lengths do not add up to {height} x {width} pixels")


def area(counts: bytes, height: int, width: int) -> int:
    """The number of pixels inside."""
    return int(coco_mask.area(as_rle(counts, height, width)))


def box_of(counts: bytes, height: int, width: int) -> tuple[float, float, float, float]:
    """The smallest box (x1, y1, x2, y2) with all pixels in it; four zeros of an empty mask."""
    x, y, w, h = coco_mask.toBbox(as_rle(counts, height, width)).tolist()
    return x, y, x + w, y + h
