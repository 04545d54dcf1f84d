"""The worst errors of each kind, as pictures."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.errors import KINDS, Errors
from keras_frcnn.pictures.canvas import GREY, WHITE, Canvas, class_colour
from keras_frcnn.pictures.draw import contact_sheet

COLUMNS = 4


class Example(NamedTuple):
    """An error: a detection, or a missed object."""

    image: int  # its place in the data set
    detection: int | None  # its place in the image; None for a missed object
    object: int | None  # the object that explains the detection, or is missed


def top_errors(
    errors: Errors, detections: Sequence[Detections], dataset: Dataset, kind: str, count: int
) -> list[Example]:
    """The errors of a kind that say most: detections of the highest scores, the largest objects."""
    found: list[tuple[float, Example]] = []
    for i, record in enumerate(dataset.images):
        if kind == "missed":
            areas = np.prod(record.boxes[:, 2:] - record.boxes[:, :2], axis=1)
            found += [
                (areas[j], Example(i, None, int(j))) for j in errors.is_missed[i].nonzero()[0]
            ]
            continue
        for j in np.flatnonzero(errors.kinds[i] == KINDS.index(kind)):
            o = int(errors.objects[i][j])
            example = Example(i, int(j), o if o >= 0 else None)
            found.append((detections[i].scores[j], example))
    found.sort(key=lambda pair: -pair[0])  # equals stay in the order of the data set
    return [example for _, example in found[:count]]


def draw_error(
    image: np.ndarray,
    example: Example,
    errors: Errors,
    detections: Sequence[Detections],
    dataset: Dataset,
) -> Image.Image:
    """One error: the object dashed, the detection in the colour of its class.

    Other objects are grey. Below stand the file and the IoU, or that no proposal was near.

    Args:
        image: uint8 RGB [H, W, 3], that of the example.
    """
    record, names = dataset.images[example.image], dataset.class_names
    canvas, caption = Canvas(image), record.filename
    for j, box in enumerate(record.boxes):
        if j != example.object:
            canvas.box(box, GREY)
    if example.object is not None:
        k = record.labels[example.object]
        canvas.box(record.boxes[example.object], WHITE, dashed=True)
    if example.detection is not None:
        found, j = detections[example.image], example.detection
        label, score = found.classes[j], found.scores[j]
        canvas.box(found.boxes[j], class_colour(label))
        canvas.label(found.boxes[j], f"{names[label - 1]} {score:.2f}", class_colour(label))
        caption += f", IoU {errors.overlaps[example.image][j]:.2f}"
    elif errors.is_unreached is not None and errors.is_unreached[example.image][example.object]:
        caption += ", no proposal"
    if example.object is not None:
        canvas.label(record.boxes[example.object], names[k - 1], WHITE)
    canvas.caption(caption)
    return canvas.finished()


def draw_top_errors(
    errors: Errors, detections: Sequence[Detections], dataset: Dataset, count: int = 12
) -> Iterator[tuple[str, Image.Image]]:
    """A contact sheet of the top errors of each kind that there is."""
    for kind in KINDS:
        pictures = []
        for example in top_errors(errors, detections, dataset, kind, count):
            record = dataset.images[example.image]
            image = read_image(record.path, record.orientation)
            pictures.append(draw_error(image, example, errors, detections, dataset))
        if pictures:
            yield kind, contact_sheet(pictures, COLUMNS, 400)
