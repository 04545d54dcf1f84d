"""What is doubtful in the annotations of a data set, found without reading an image."""

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.numpy_boxes import pairwise_iou

SAME_BOX = 0.95  # IoU from which two objects of a class are taken for one annotated twice
CELL = 16  # pixels of a scaled image that become one cell of the feature map
_ALIKE = 0.8  # of `difflib.SequenceMatcher.ratio`
_SHORTEST = 5  # letters of a name for which that means something


@dataclass(frozen=True)
class Finding:
    """One kind of fault."""

    kind: str  # what it is, in the plural
    count: int
    examples: tuple[str, ...]  # of some, which file and object it is
    is_refused: bool = False  # whether a training on these data ends before it begins


def quick_warnings(dataset: Dataset, min_side: int, max_side: int) -> list[str]:
    """What of the following a data set has, a line each with how many and the first of them."""
    kinds = {
        "pairs of class names that may be one": misspelled_classes(dataset),
        "objects annotated twice": duplicated_boxes(dataset.images),
        f"objects smaller than a cell of the feature map at {min_side} / {max_side} pixels": (
            tiny_objects(dataset.images, min_side, max_side)
        ),
    }
    return [
        f"{dataset.name}: {kind}: {len(found)} ({found[0]}{', ...' if len(found) > 1 else ''})"
        for kind, found in kinds.items()
        if found
    ]


def misspelled_classes(dataset: Dataset) -> list[str]:
    """Pairs of class names that may be one: `helmat (2) and helmet (310)`, the rarer first.

    Names that differ in their digits alone, such as `person1` and `person2`, are left out.
    """
    counts = Counter(int(k) for record in dataset.images for k in record.labels)
    names = dataset.class_names
    found = []
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            if _look_alike(first, names[j]):
                pair = sorted((counts[k + 1], names[k]) for k in (i, j))
                found.append(" and ".join(f"{name} ({count})" for count, name in pair))
    return found


def duplicated_boxes(records: Sequence[ImageRecord]) -> list[str]:
    """Objects of a class that lie on another one of it with an IoU of `SAME_BOX` or more."""
    return [
        f"{record.filename}: object {j + 1} and {i + 1}"
        for record in records
        for i, j in _pairs(record)
    ]


def tiny_objects(records: Sequence[ImageRecord], min_side: int, max_side: int) -> list[str]:
    """Objects that are smaller than a cell of the feature map in the scaled image.

    Args:
        records: the images.
        min_side, max_side: as in training, the shorter side of scaled images and the most that
            the longer may have.
    """
    found = []
    for record in records:
        scale = scale_of(record, min_side, max_side)
        sides = np.sqrt(np.prod(record.boxes[:, 2:] - record.boxes[:, :2], axis=1)) * scale
        found += [
            f"{record.filename}: object {i + 1}, {sides[i]:.0f} pixels"
            for i in np.flatnonzero((sides < CELL) & ~record.is_difficult)
        ]
    return found


def scale_of(record: ImageRecord, min_side: int, max_side: int) -> float:
    """The factor by which an image is scaled (`preprocessing.scaled_size`, unrounded)."""
    shorter, longer = sorted((record.height, record.width))
    return min(min_side / shorter, max_side / longer)


def _pairs(record: ImageRecord) -> Iterator[tuple[int, int]]:
    iou = pairwise_iou(record.boxes, record.boxes)
    same = (iou >= SAME_BOX) & (record.labels[:, None] == record.labels[None, :])
    yield from zip(*np.nonzero(np.triu(same, 1)), strict=True)


def _look_alike(first: str, second: str) -> bool:
    first, second = _plain(first), _plain(second)
    if first == second:
        return True
    without = [re.sub(r"\d", "", name) for name in (first, second)]
    if without[0] == without[1] or min(map(len, without)) < _SHORTEST:
        return False
    return difflib.SequenceMatcher(None, first, second).ratio() >= _ALIKE


def _plain(name: str) -> str:
    """The name without what people write now so and now so: case, spaces, the plural."""
    return re.sub(r"[\W_]", "", name.casefold()).removesuffix("s")
