"""Writes folders in Pascal VOC format: the other half of `voc.py`."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.files import clear_folders, make_cache_folder, private_folder


class WrittenObject(NamedTuple):
    """One `<object>` to write; the box is 1-based and inclusive, as VOC has it."""

    class_name: str
    bndbox: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax
    truncated: bool
    difficult: bool


def cached_folder(name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, made by `write(folder)` on first use.

    It appears under its name only when it is complete: an interrupted or failed `write` leaves
    nothing behind, and of two processes at once the first to finish provides it for both.

    Raises:
        InputError: the cache folder cannot be written.
    """
    folder = make_cache_folder("data") / name
    clear_folders(folder.parent, ".")  # of this and other data sets
    if folder.is_dir():
        return folder
    try:
        with private_folder(folder.parent, f".{name}-") as unfinished:
            for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
                (unfinished / part).mkdir(parents=True)
            write(unfinished)
            unfinished.chmod(0o755)  # until now it was its owner's alone
            try:
                # Not `files.replacing`: a folder takes the place of no other with something in it.
                os.replace(unfinished, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster
                    raise
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error}") from error
    return folder


def write_annotation(
    folder: Path,
    filename: str,
    size: tuple[int, int],
    objects: Iterable[WrittenObject],
    source: str | None = None,
) -> None:
    """Writes `Annotations/<id>.xml` for the image `JPEGImages/<filename>`.

    Args:
        folder: the folder in VOC format.
        filename: path of the image in JPEGImages, parted by `/`; without suffix it is its id.
        size: height and width in pixels.
        objects: the objects, in order.
        source: what stands in <source><annotation>, "PASCAL VOC2007" for the genuine ones.
    """
    root = ElementTree.Element("annotation")
    _add(root, "filename", filename)
    if source:
        _add(ElementTree.SubElement(root, "source"), "annotation", source)
    element = ElementTree.SubElement(root, "size")
    for tag, value in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        _add(element, tag, value)
    for class_name, bndbox, truncated, difficult in objects:
        element = ElementTree.SubElement(root, "object")
        _add(element, "name", class_name)
        _add(element, "truncated", int(truncated))
        _add(element, "difficult", int(difficult))
        corners = ElementTree.SubElement(element, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bndbox, strict=True):
            _add(corners, tag, _corner(value))
    ElementTree.indent(root, "\t")
    path = (folder / "Annotations" / filename).with_suffix(".xml")
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def write_split(folder: Path, split: str, ids: Iterable[str]) -> None:
    """Writes `ImageSets/Main/<split>.txt`."""
    lines = "".join(f"{image_id}\n" for image_id in ids)
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")


def write_voc(
    folder: Path,
    class_names: Sequence[str],
    records: Sequence[ImageRecord],
    splits: Mapping[str, Sequence[str]],
) -> None:
    """Write annotations and lists of a data set whose images lie in `folder/JPEGImages`.

    Args:
        folder: of the data set.
        class_names: of the labels 1..K.
        records: all images, their `filename` being the path in JPEGImages.
        splits: the file names of each.
    """
    for record in records:
        objects = [
            WrittenObject(class_names[k - 1], (x1 + 1, y1 + 1, x2, y2), False, bool(is_difficult))
            for (x1, y1, x2, y2), k, is_difficult in zip(
                record.boxes.tolist(), record.labels, record.is_difficult, strict=True
            )
        ]
        write_annotation(folder, record.filename, (record.height, record.width), objects)
    if splits:
        (folder / "ImageSets" / "Main").mkdir(parents=True)
    for split, names in splits.items():
        write_split(folder, split, names)


def _corner(value: float) -> str:
    """A number of pixels, as short as it gives the same float32, also one less."""
    text = f"{value:.10g}"
    same = all(np.float32(float(text) - x) == np.float32(value - x) for x in (0, 1))
    return text if same else f"{value:.17g}"


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)
