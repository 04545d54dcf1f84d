"""Proposals beside the objects that they should find.

Shape letters: P proposals of an image, M of its objects that are not difficult.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.numpy_boxes import pairwise_iou
from keras_frcnn.pictures.canvas import GREY, WHITE, Canvas, class_colour

# A proposal has the colour of the last bound that its best IoU reaches.
BANDS = (
    (0.0, GREY),
    (0.1, class_colour(7)),
    (0.3, class_colour(1)),
    (0.5, class_colour(2)),
    (0.7, class_colour(3)),
)
REACHED = 0.5  # the IoU from which on a proposal is a foreground RoI


class ShownProposals(NamedTuple):
    """The proposals of one image; difficult objects count in none of it."""

    filename: str
    best_iou: np.ndarray  # [P], of each proposal with any object; 0 where there is none
    object_iou: np.ndarray  # [M], of each object with any proposal; 0 where there is none
    best_proposal: np.ndarray  # [M], which proposal that is, the first of equals; -1 for IoU 0
    reached: int  # objects with an IoU of at least 0.5
    picture: Image.Image


def show_proposals(
    photos: Dataset, regions: Sequence[np.ndarray], count: int = 12
) -> list[ShownProposals]:
    """The proposals of the first `count` images, coloured by their best IoU with an object.

    Objects are white and dashed, the best proposal of each has its IoU written beside it. Below the
    image stand the lower bounds of the colours.

    Args:
        photos, regions: the data set, and the proposals [P, 4] of each image.
        count: images.

    Raises:
        InputError: `regions` are of other images, or an image cannot be read.
    """
    images = ImageSet(photos, regions)
    return [
        _shown(record, np.asarray(boxes))
        for record, boxes in zip(photos.images[:count], images.proposals[:count], strict=True)
    ]


def iou_colour(iou: float) -> tuple[int, int, int]:
    """The colour of a proposal with this best IoU."""
    return [colour for bound, colour in BANDS if iou >= bound][-1]


def _shown(record, proposals) -> ShownProposals:
    objects = record.boxes[~record.is_difficult]
    iou = pairwise_iou(proposals, objects)
    best_iou, object_iou = iou.max(axis=1, initial=0), iou.max(axis=0, initial=0)
    best = np.full(len(objects), -1)
    if len(proposals):
        best = np.where(object_iou > 0, iou.argmax(axis=0), -1)
    reached = int((object_iou >= REACHED).sum())
    image = read_image(record.path, record.orientation)
    caption = f"{reached} of {len(objects)} objects at IoU {REACHED}, {len(proposals)} proposals"
    picture = _draw(image, proposals, objects, best_iou, object_iou, best, caption)
    return ShownProposals(record.filename, best_iou, object_iou, best, reached, picture)


def _draw(image, proposals, objects, best_iou, object_iou, best, caption) -> Image.Image:
    height, width = image.shape[:2]
    row = 2 + round(1.8 * max(10, np.hypot(height, width) / 60))  # of letters, see `Canvas`
    strip = ((0, 2 * row), (0, 0), (0, 0))
    canvas = Canvas(np.pad(image, strip, constant_values=255), 600)
    for i in np.argsort(best_iou, kind="stable"):  # the best above the others
        canvas.box(proposals[i], iou_colour(best_iou[i]))
    for box in objects:
        canvas.box(box, WHITE, dashed=True)
    for i, overlap in zip(best, object_iou, strict=True):
        if i >= 0:
            canvas.box(proposals[i], iou_colour(overlap))
            canvas.label(proposals[i], f"{overlap:.2f}", iou_colour(overlap))
    for i, (bound, colour) in enumerate(BANDS):
        left = i * width / len(BANDS)
        canvas.label((left, height + row, left + 1, height + row), f"{bound}+", colour)
    canvas.caption(caption)
    return canvas.finished()
