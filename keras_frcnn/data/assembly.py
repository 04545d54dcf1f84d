"""From what an annotation says of an image to the record of it; the same for every form of data.

What reaches over the border is clipped; an object whose box has no area, or none inside the image,
is left out with a warning.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frcnn import run_length
from keras_frcnn.data import voc_orientation
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.images import TRAINING_FORMATS, TRANSPOSED, read_header
from keras_frcnn.data.segmentation import Segmentation
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_orientation import Annotated
from keras_frcnn.errors import InputError, cut
from keras_frcnn.file_names import printable


class FoundObject(NamedTuple):
    """One object as an annotation has it."""

    where: str  # what messages call it: "a.json: annotation 7"
    class_name: str
    # (x1, y1, x2, y2), continuous; None: that of the mask
    box: tuple[float, float, float, float] | None
    text: str  # the box in the file's own numbers
    is_difficult: bool = False
    is_degenerate: bool = False  # by a rule of the form, beside that of having no area
    mask: Segmentation | None = None


class FoundImage(NamedTuple):
    """One image as an annotation has it."""

    filename: str  # unique in the data set
    path: Path
    annotation: Path | None  # the file that tells of it, for messages
    objects: tuple[FoundObject, ...]
    size: tuple[float, float] | None = None  # width, height, where the annotation tells
    is_relative: bool = False  # boxes are fractions of width and height
    coco_id: int | None = None  # where the data set is COCO's


def records(
    images: Sequence[FoundImage],
    class_names: Sequence[str],
    turns: Callable[[], bool | None],
    with_masks: bool = True,
) -> tuple[list[ImageRecord], list[str]]:
    """The records of images, and a line about everything that is doubtful.

    Args:
        images: of which records are wanted.
        class_names: of the labels 1..K.
        turns: whether the whole data set was annotated on turned images (`voc_orientation.turns`);
            asked only where an image itself does not tell.
        with_masks: whether masks are wanted; to draw those of polygons takes a while.

    Raises:
        InputError: as `keras_frcnn.data.source.Source.records`.
    """
    label_of = labels(class_names)
    faults, files = Faults(), []
    for image in images:
        with faults.of("unreadable images", image.filename):
            files.append(annotated(image))
    faults.check()
    voc_orientation.check_sizes(files)
    warnings: list[str] = []
    doubtful = [file for file in files if file.is_ambiguous]
    is_turned = turns() if doubtful else None
    if doubtful and is_turned is None:
        warnings.append(voc_orientation.ambiguity(doubtful))
    found = []
    for image, file in zip(images, files, strict=True):
        with faults.of("images", image.filename):
            orientation = voc_orientation.orientation(file, is_turned)
            found.append(record(image, file, orientation, label_of, warnings, with_masks))
    faults.check()
    return found, warnings


def labels(class_names: Sequence[str]) -> dict[str, int]:
    """The number of each class, 1 to K."""
    return {tidy_name(name): label for label, name in enumerate(class_names, start=1)}


def annotated(image: FoundImage) -> Annotated:
    """The image with its file's header.

    Raises:
        InputError: the file is missing, or no JPEG or PNG file.
    """
    header = read_header(image.path)
    if header.format not in TRAINING_FORMATS:
        raise InputError(f"{image.path}: is a {header.format} file; save it as JPEG or PNG")
    name, path = image.filename, str(image.path)
    return Annotated(name, path, header, image.annotation, image.size, bool(image.objects))


def _scaled(box: Sequence[float], width: int, height: int) -> tuple[float, ...]:
    """Fractions of an image in pixels, without the rounding of sums that should be 0, say."""
    pixels = (c * side for c, side in zip(box, (width, height, width, height), strict=True))
    return tuple(round(x * 2**30) / 2**30 for x in pixels)


def record(
    image: FoundImage,
    file: Annotated,
    orientation: int,
    label_of: Mapping[str, int],
    warnings: list[str],
    with_masks: bool = True,
) -> ImageRecord:
    """The record of one image, read under an EXIF orientation; adds to `warnings`.

    Raises:
        InputError: an object is of none of the classes of `label_of`, or its mask is not of this
            image.
    """
    height, width = file.header.height, file.header.width
    if orientation in TRANSPOSED:
        height, width = width, height
    boxes, found_labels, difficult, masks = [], [], [], []
    for obj in image.objects:
        if obj.class_name not in label_of:
            known = cut(", ".join(label_of))
            raise InputError(f"{obj.where}: is of none of the known classes: {known}")
        mask = None
        if obj.mask and (with_masks or obj.box is None):
            mask = obj.mask.counts(obj.where, height, width)
            if run_length.area(mask, height, width) == 0:
                mask = None
                said = "skipped" if obj.box is None else "taken without mask"
                warnings.append(f"{obj.where}: {said}, its mask is empty inside the image")
                if obj.box is None:
                    continue
        found_box = run_length.box_of(mask, height, width) if obj.box is None else obj.box
        x1, y1, x2, y2 = _scaled(found_box, width, height) if image.is_relative else found_box
        box = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
        if obj.is_degenerate or x2 <= x1 or y2 <= y1:
            warnings.append(f"{obj.where}: skipped, its box {obj.text} is degenerate")
        elif box[2] <= box[0] or box[3] <= box[1]:
            size = f"{width} x {height}"
            warnings.append(f"{obj.where}: skipped, its box {obj.text} is outside the {size} image")
        else:
            boxes.append(box)
            found_labels.append(label_of[obj.class_name])
            difficult.append(obj.is_difficult)
            masks.append(mask)
    return ImageRecord(
        filename=printable(image.filename),
        path=str(image.path),
        height=height,
        width=width,
        orientation=orientation,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(found_labels, np.int32),
        is_difficult=np.array(difficult, bool),
        coco_id=image.coco_id,
        masks=tuple(masks) if with_masks and any(m is not None for m in masks) else (),
    )
