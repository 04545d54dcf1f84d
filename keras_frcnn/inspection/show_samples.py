"""The RoIs that a training samples at a step, by label, with what they should regress to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.inspection.mini_batch import MiniBatch, mini_batch
from keras_frcnn.pictures.canvas import GREY, WHITE, Canvas, class_colour
from keras_frcnn.settings import Settings


class ShownSamples(NamedTuple):
    """A mini-batch and a picture of each image in it, without the padding of the batch."""

    batch: MiniBatch
    target_boxes: np.ndarray  # [N, R, 4], what each RoI's target leads to; see `MiniBatch`
    pictures: list[Image.Image]


def show_samples(
    photos: Dataset,
    regions: Sequence[np.ndarray],
    settings: Settings | None = None,
    step: int = 0,
) -> ShownSamples:
    """The RoIs of mini-batch number `step` of a training of Fast R-CNN.

    Background is grey; foreground has the colour of its class, and a dashed white box where its
    regression target leads it.

    Args, errors: as `show_batch`.
    """
    batch = mini_batch(ImageSet(photos, regions), settings or Settings(), step)
    aims, pixels = batch.target_boxes(), batch.pixels()
    pictures = []
    for n, (height, width) in enumerate(batch.sizes):
        image = np.ascontiguousarray(pixels[n, :height, :width])
        pictures.append(_draw(image, batch.rois[n], batch.labels[n], aims[n], photos.class_names))
    return ShownSamples(batch, aims, pictures)


def _draw(image, rois, labels, aims, class_names) -> Image.Image:
    canvas, is_fg = Canvas(image, 600), labels > 0
    for box in rois[labels == 0]:
        canvas.box(box, GREY)
    for box, k in zip(rois[is_fg], labels[is_fg], strict=True):
        canvas.box(box, class_colour(k))
    # RoIs of one object lead to one box, up to rounding.
    for *box, k in np.unique(np.column_stack([aims.round(), labels])[is_fg], axis=0):
        canvas.box(box, WHITE, dashed=True)
        canvas.label(box, class_names[int(k) - 1], class_colour(int(k)))
    canvas.caption(f"{np.sum(is_fg)} foreground, {np.sum(labels == 0)} background")
    return canvas.finished()
