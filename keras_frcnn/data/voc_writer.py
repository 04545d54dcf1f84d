"""Writes folders in Pascal VOC format into the cache: the other half of `voc.py`."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

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
        filename: name of the image, whose stem is its id.
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
            _add(corners, tag, f"{value:.10g}")
    ElementTree.indent(root, "\t")
    path = folder / "Annotations" / f"{Path(filename).stem}.xml"
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def write_split(folder: Path, split: str, ids: Iterable[str]) -> None:
    """Writes `ImageSets/Main/<split>.txt`."""
    lines = "".join(f"{image_id}\n" for image_id in ids)
    (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)
