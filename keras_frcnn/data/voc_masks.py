"""Masks of Pascal VOC: SegmentationObject/*.png numbers the objects, SegmentationClass/*.png the
classes.

Both have a palette, whose indices count: 0 is background, 255 the border, which belongs to no one.
With annotations beside them each mask goes to the object whose box it fills; an object that has
none keeps its box. Without, the objects are the masks, and their class is what most of their pixels
have.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn import run_length
from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.mask_images import read_labels
from keras_frcnn.data.segmentation import Drawn
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files, folder_called
from keras_frcnn.data.voc_layout import IMAGE_FOLDERS
from keras_frcnn.errors import InputError
from keras_frcnn.numpy_boxes import pairwise_iou

OBJECTS, CLASSES = "SegmentationObject", "SegmentationClass"
_BORDER = 255
_LEAST_IOU = 0.5  # of a mask's box with the annotated one


class Instance(NamedTuple):
    """One object of a pair of files."""

    value: int  # in SegmentationObject
    mask: Drawn
    box: tuple[float, float, float, float]
    class_value: int | None  # in SegmentationClass, where that is there


def instances(objects: Path, classes: Path | None) -> list[Instance]:
    """The objects of an image.

    Raises:
        InputError: a file cannot be read, or the two are of other sizes.
    """
    labels = read_labels(objects)
    height, width = labels.shape
    of_class = read_labels(classes) if classes else None
    if of_class is not None and of_class.shape != labels.shape:
        h, w = of_class.shape
        raise InputError(f"{classes}: has {w} x {h} pixels, {objects} {width} x {height}")
    found = []
    for value in np.unique(labels[(labels > 0) & (labels != _BORDER)]).tolist():
        bitmap = labels == value
        counts = run_length.from_bitmap(bitmap)
        class_value = None
        if of_class is not None:
            inside = of_class[bitmap & (of_class > 0) & (of_class != _BORDER)]
            class_value = int(np.bincount(inside).argmax()) if inside.size else 0
        box = run_length.box_of(counts, height, width)
        found.append(Instance(value, Drawn(counts, height, width), box, class_value))
    return found


def with_masks(image: FoundImage, objects: Path) -> FoundImage:
    """An annotated image whose objects have the masks of a file that fill their boxes."""
    found = instances(objects, None)
    if not found or not image.objects:
        return image
    iou = pairwise_iou(
        np.float64([obj.box for obj in image.objects]), np.float64([i.box for i in found])
    )
    masks: dict[int, Drawn] = {}
    while iou.max() >= _LEAST_IOU:  # the best pairs first; order and numbers need not agree
        row, column = np.unravel_index(iou.argmax(), iou.shape)
        masks[int(row)] = found[column].mask
        iou[row, :] = iou[:, column] = -1
    matched = (obj._replace(mask=masks.get(i)) for i, obj in enumerate(image.objects))
    return image._replace(objects=tuple(matched))


def find_voc_masks(path: Path) -> Path | None:
    """The folder of numbered objects in a folder; None where there is none."""
    folder = folder_called(path, OBJECTS)
    return folder if path.is_dir() and Files(folder, (".png",)).paths else None


def read_voc_masks(path: Path, folder: Path, voc_classes: Sequence[str]) -> ListedSource:
    """A data set of masks without annotations; `folder` is what `find_voc_masks` finds.

    The classes are those of class_names.txt, a line each with the background first, if it is there,
    else VOC's.

    Raises:
        InputError: a mask is of no image, has no file of classes or a class that is none; the first
            of a kind is named and the others are counted.
    """
    listed = path / "class_names.txt"
    names = _lines(listed) if listed.is_file() else ["_background_", *voc_classes]
    names = names[1:] if names[:1] == ["__ignore__"] else names
    classes = Files(folder_called(path, CLASSES), (".png",))
    photographs = [Files(folder_called(path, name), IMAGE_SUFFIXES) for name in IMAGE_FOLDERS]
    faults, images = Faults(), {}
    for name, paths in sorted(Files(folder, (".png",)).paths.items()):
        file = folder / paths[0]
        with faults.of("masks", name):
            image = next(
                (f.folder / f.paths[name][0] for f in photographs if name in f.paths), None
            )
            if image is None:
                raise InputError(f"{file}: is of no image in {photographs[0].folder}")
            if name not in classes.paths:
                raise InputError(f"{file}: has no {classes.folder / name}.png with its classes")
            filename = image.relative_to(path).as_posix()
            objects = tuple(_objects(file, classes.folder / classes.paths[name][0], names))
            images[filename] = FoundImage(filename, image, file, objects)
    faults.check()
    return ListedSource("Pascal VOC masks", path, names[1:], images, {})


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _objects(file: Path, classes: Path, names: Sequence[str]) -> Iterator[FoundObject]:
    for value, mask, _, class_value in instances(file, classes):
        where = f"{file}: object {value}"
        if not 0 < class_value < len(names):
            raise InputError(f"{where}: {classes} has no class for it (value {class_value})")
        name = names[class_value]
        yield FoundObject(f"{where} ({name})", name, None, "", mask=mask)


def write_objects(folder: Path, name: str, bitmaps: Sequence[np.ndarray]) -> None:
    """Write SegmentationObject/NAME.png: object i, from 1 on, where the i-th bitmap [H, W] is true.

    Where several are, the last one has the pixel. There are 1 to 254 of one size.
    """
    labels = np.zeros(bitmaps[0].shape, np.uint8)
    for value, bitmap in enumerate(bitmaps, start=1):
        labels[bitmap] = value
    image = Image.fromarray(labels, mode="P")
    # Any colours that can be told apart; what counts are the indices.
    colours = np.random.default_rng(0).integers(64, 256, (256, 3), np.uint8)
    colours[0] = 0
    image.putpalette(colours.tobytes())
    (folder / OBJECTS).mkdir(exist_ok=True)
    image.save(folder / OBJECTS / f"{name}.png")
