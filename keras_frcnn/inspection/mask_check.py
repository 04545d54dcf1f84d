"""What the masks of a data set are like, and which of them do not fit their objects.

Objects are those that are not difficult (crowds are), as only these are trained on.

Shape letters: M objects of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.run_length import area, box_of, to_bitmap

SIZES = (32**2, 96**2)  # pixels, where COCO's medium and large objects begin
CELLS = 28  # a side of the mask branch's output
COARSE = 0.9  # IoU below which CELLS x CELLS do not give a mask back
SAMPLE = 500  # objects that are cut and pasted
_BEYOND = 2  # pixels that a mask may reach out of its box


@dataclass(frozen=True)
class MaskStatistics:
    """Of all images together."""

    objects: int
    sizes: tuple[int, int, int]  # of the masks: small, medium and large by their areas
    # Of at most SAMPLE objects, the share whose IoU with what CELLS x CELLS give back is below
    # COARSE, and the mean of these IoUs.
    sampled: int
    coarse: float
    mean_iou: float


def mask_statistics(records: Sequence[ImageRecord]) -> MaskStatistics | None:
    """None where no object has a mask."""
    places = [(r, i) for r in records for i in _drawn(r)]
    if not places:
        return None
    areas = [area(record.masks[i], record.height, record.width) for record, i in places]
    chosen = range(len(places))
    if len(places) > SAMPLE:
        chosen = np.sort(np.random.default_rng(0).choice(len(places), SAMPLE, replace=False))
    ious = np.array([given_back(places[n][0], places[n][1]) for n in chosen])
    counts = np.bincount(np.digitize(areas, SIZES), minlength=3)
    return MaskStatistics(
        sum(int((~record.is_difficult).sum()) for record in records),
        tuple(counts.tolist()),
        len(ious),
        float(np.mean(ious < COARSE)),
        float(np.mean(ious)),
    )


def without_mask(records: Sequence[ImageRecord]) -> list[str]:
    """Objects that have a box alone, which the mask branch cannot learn from."""
    return [
        f"{record.filename}: object {i + 1}"
        for record in records
        for i in np.setdiff1d(np.flatnonzero(~record.is_difficult), _drawn(record))
    ]


def beyond_boxes(records: Sequence[ImageRecord]) -> list[str]:
    """Objects whose mask reaches more than two pixels out of their box: one of them is wrong."""
    found = []
    for record in records:
        for i, extent in zip(_drawn(record), _extents(record), strict=True):
            box = record.boxes[i]
            out = max(*(box[:2] - extent[:2]), *(extent[2:] - box[2:]))
            if out > _BEYOND:
                found.append(f"{record.filename}: object {i + 1}, by {out:.0f} pixels")
    return found


def given_back(record: ImageRecord, i: int) -> float:
    """The IoU of an object's mask with itself, cut at its extent to CELLS x CELLS and pasted.

    No mask branch can do better, as far as its boxes are right.
    """
    # TensorFlow is loaded for data with masks alone.
    from keras_frcnn.detection.paste import paste
    from keras_frcnn.models.mask_targets import cut_masks

    size = record.height, record.width
    box = np.float32(box_of(record.masks[i], *size))
    bitmap = to_bitmap(record.masks[i], *size)
    cells = cut_masks(bitmap[None], box[None], CELLS)[0].numpy()
    pasted, inside = paste(cells, box, *size), bitmap > 0
    return float((pasted & inside).sum() / (pasted | inside).sum())


def _drawn(record: ImageRecord) -> list[int]:
    """The objects with a mask."""
    masks = record.masks or (None,) * len(record.labels)
    drawn = zip(masks, record.is_difficult, strict=True)
    return [i for i, (mask, is_difficult) in enumerate(drawn) if mask and not is_difficult]


def _extents(record: ImageRecord) -> np.ndarray:
    """The smallest box (x1, y1, x2, y2) around each mask."""
    size = record.height, record.width
    return np.reshape([box_of(record.masks[i], *size) for i in _drawn(record)], (-1, 4))
