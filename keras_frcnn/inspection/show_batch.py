"""The padded batch as the model receives it, and the RoIs that were sampled from its images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.inspection.mini_batch import MiniBatch, mini_batch
from keras_frcnn.pictures.canvas import GREY, Canvas, class_colour
from keras_frcnn.settings import Settings

_HATCH = 8  # pixels from one line over the padding to the next


class ShownBatch(NamedTuple):
    """A mini-batch and a picture of each image in it, as large as the padded batch."""

    batch: MiniBatch
    pictures: list[Image.Image]


def show_batch(
    photos: Dataset,
    regions: Sequence[np.ndarray],
    settings: Settings | None = None,
    step: int = 0,
) -> ShownBatch:
    """Mini-batch number `step` of a training of Fast R-CNN: padding is hatched, RoIs are drawn.

    RoIs of objects have the colour of the class, those of background are grey.

    Args:
        photos, regions: to train on, and the proposals of each image.
        settings: of the training; the paper's by default.

    Raises:
        InputError: as `mini_batch`, and where `regions` are of other images.
    """
    batch = mini_batch(ImageSet(photos, regions), settings or Settings(), step)
    pixels = batch.pixels()
    return ShownBatch(batch, [_draw(batch, pixels[n], n) for n in range(len(pixels))])


def hatched(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A copy of an image [H, W, 3] with diagonal grey lines on what is beyond `size` (h, w)."""
    y, x = np.indices(image.shape[:2])
    is_line = ((y >= size[0]) | (x >= size[1])) & ((x + y) % _HATCH == 0)
    return np.where(is_line[..., None], np.uint8(GREY), image)


def _draw(batch: MiniBatch, image: np.ndarray, n: int) -> Image.Image:
    size, record = batch.sizes[n], batch.records[n]
    canvas = Canvas(hatched(image, size), 600)
    labels = batch.labels[n]
    for drawn in (labels == 0, labels > 0):  # objects above background
        for box, k in zip(batch.rois[n][drawn], labels[drawn], strict=True):
            canvas.box(box, class_colour(k))
    height, width = size
    canvas.caption(
        f"{width} x {height} of {image.shape[1]} x {image.shape[0]} pixels, "
        f"scale {width / record.width:.3f}, {record.filename}"
    )
    return canvas.finished()
