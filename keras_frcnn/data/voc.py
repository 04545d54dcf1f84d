"""Folders in Pascal VOC format: `Annotations/*.xml`, `JPEGImages/`, `ImageSets/Main/*.txt`.

M is the number of annotated objects of an image.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import numpy as np

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.images import TRAINING_FORMATS, TRANSPOSED, read_header
from keras_frcnn.errors import InputError

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


class VocObject(NamedTuple):
    """One `<object>` of an annotation file, in the file's own numbers."""

    class_name: str
    bndbox: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax: 1-based, inclusive
    difficult: bool


class VocAnnotation(NamedTuple):
    """One annotation file."""

    filename: str | None  # the image's name as the file gives it, without folders
    size: tuple[float, float] | None  # width, height of the pixels that were annotated
    objects: tuple[VocObject, ...]
    is_pascal: bool  # one of the genuine Pascal VOC annotations


def read_annotation(path: Path) -> VocAnnotation:
    """Reads a VOC annotation file.

    Raises:
        InputError: malformed or hostile XML, or an object without a class or a box of numbers.
    """
    try:
        root = defusedxml.ElementTree.fromstring(path.read_bytes())
    except (defusedxml.ElementTree.ParseError, LookupError) as error:
        raise InputError(f"{path}: malformed XML ({error})") from error
    except defusedxml.DefusedXmlException as error:
        raise InputError(
            f"{path}: declares XML entities, which an annotation has no use for and which can "
            f"exhaust the memory; remove them ({type(error).__name__})"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if root.tag != "annotation":
        raise InputError(f"{path}: is no VOC annotation: its root is <{root.tag}>")
    filename = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    return VocAnnotation(
        filename=filename or None,
        size=_read_size(root, path),
        objects=tuple(
            _read_object(element, f"{path}: object {number}")
            for number, element in enumerate(root.findall("object"), start=1)
        ),
        is_pascal=(root.findtext("source/annotation") or "").startswith("PASCAL VOC"),
    )


class VocFolder:
    """A data set in VOC format. Images are known by their id: the annotation's name without .xml.

    Raises:
        InputError: the folder is not in VOC format, or holds several VOC years.
    """

    def __init__(self, folder: str | os.PathLike):
        self.root = _find_root(Path(folder))
        self._annotations: dict[str, VocAnnotation | None] = {}

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the lists in ImageSets/Main, without the lists of single classes."""
        names = sorted(path.stem for path in self._lists.glob("*.txt"))
        # The official archives also hold "<class>_<split>.txt" with a sign behind every id.
        return tuple(n for n in names if not ("_" in n and n.rpartition("_")[2] in names))

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split in its order; of the whole folder if `split` is None.

        Raises:
            InputError: there is no such split, or it is empty.
        """
        if split is None:
            if self.splits:
                listed = (image_id for name in self.splits for image_id in self._listed(name))
                ids = sorted(dict.fromkeys(listed))
            else:
                ids = self._annotated_ids
            if not ids:
                raise InputError(f"{self.root}: has no annotated images")
            return ids
        if not (self._lists / f"{split}.txt").is_file():
            raise InputError(f"{self._lists / split}.txt: there is no such split; {self._choice}")
        if not (ids := list(dict.fromkeys(self._listed(split)))):
            raise InputError(f"{self._lists / split}.txt: the split is empty; {self._choice}")
        return ids

    def class_names(self) -> tuple[str, ...]:
        """Sorted class names of all annotations, so that every split numbers them alike.

        A folder of genuine Pascal VOC annotations has the 20 classes, used or not.
        """
        annotations = [self._annotation(image_id) for image_id in self._annotated_ids]
        found = {obj.class_name for annotation in annotations for obj in annotation.objects}
        if any(a.is_pascal for a in annotations) and found <= set(VOC_CLASSES):
            return VOC_CLASSES
        return tuple(sorted(found))

    def records(
        self, ids: Sequence[str], class_names: Sequence[str]
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records of the images `ids`, and a line about everything that was left out.

        Boxes go from 1-based inclusive pixels to continuous ones and are clipped to the image.

        Raises:
            InputError: an image is missing, unreadable or of another size than annotated; an
                object is of a class that is not among `class_names`.
        """
        label_of = {name: label for label, name in enumerate(class_names, start=1)}
        warnings: list[str] = []
        if missing := [image_id for image_id in ids if self._annotation(image_id) is None]:
            warnings.append(
                f"{self._xml(missing[0])}: is missing; {len(missing)} of {len(ids)} images have no "
                "annotation and count as images without objects"
            )
        return [self._record(image_id, label_of, warnings) for image_id in ids], warnings

    def _record(self, image_id: str, label_of: Mapping[str, int], warnings: list[str]):
        xml = self._xml(image_id)
        annotation = self._annotation(image_id)
        image = self._image(image_id, annotation)
        header = read_header(image)
        if header.format not in TRAINING_FORMATS:
            raise InputError(f"{image}: is a {header.format} file; save it as JPEG or PNG")
        if annotation is None:
            annotation = VocAnnotation(None, None, (), False)
        orientation = _annotated_orientation(header, annotation.size, xml, image)
        height, width = header.height, header.width
        if orientation in TRANSPOSED:
            height, width = width, height

        boxes, labels, difficult = [], [], []
        for number, (class_name, bndbox, is_difficult) in enumerate(annotation.objects, start=1):
            where = f"{xml}: object {number} ({class_name})"
            if class_name not in label_of:
                known = ", ".join(label_of)
                raise InputError(f"{where}: is of none of the known classes: {known}")
            xmin, ymin, xmax, ymax = bndbox
            box = (max(xmin - 1, 0), max(ymin - 1, 0), min(xmax, width), min(ymax, height))
            text = "({:g}, {:g}, {:g}, {:g})".format(*bndbox)
            # xmax = xmin would be a column of one pixel, but in practice is a slip of the mouse.
            if xmax <= xmin or ymax <= ymin:
                warnings.append(f"{where}: skipped, its box {text} is degenerate")
            elif box[2] <= box[0] or box[3] <= box[1]:
                size = f"{width} x {height}"
                warnings.append(f"{where}: skipped, its box {text} is outside the {size} image")
            else:
                boxes.append(box)
                labels.append(label_of[class_name])
                difficult.append(is_difficult)
        return ImageRecord(
            filename=image.name,
            path=str(image),
            height=height,
            width=width,
            orientation=orientation,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            labels=np.array(labels, np.int32),
            is_difficult=np.array(difficult, bool),
        )

    def _image(self, image_id: str, annotation: VocAnnotation | None) -> Path:
        folder = self.root / "JPEGImages"
        named = annotation.filename if annotation else None
        suffixes = (os.path.splitext(named or "")[1], *IMAGE_SUFFIXES)
        # As in the devkit the id names the image; only where that leads nowhere, <filename> does.
        candidates = [image_id + suffix for suffix in suffixes if suffix] + [named or ""]
        for name in candidates:
            if name and (folder / name).is_file():
                return folder / name
        named = named or f"{image_id}.jpg"
        raise InputError(
            f"{folder / named}: the image is missing (named by {self._xml(image_id)})"
            if annotation
            else f"{folder / named}: the image is missing (listed in {self._lists})"
        )

    def _annotation(self, image_id: str) -> VocAnnotation | None:
        """The image's annotation, read once; None where there is no file."""
        if image_id not in self._annotations:
            xml = self._xml(image_id)
            self._annotations[image_id] = read_annotation(xml) if xml.is_file() else None
        return self._annotations[image_id]

    @cached_property
    def _annotated_ids(self) -> list[str]:
        return sorted(path.stem for path in (self.root / "Annotations").glob("*.xml"))

    @property
    def _lists(self) -> Path:
        return self.root / "ImageSets" / "Main"

    @property
    def _choice(self) -> str:
        """What can be asked for instead of a split that cannot be had."""
        usable = [split for split in self.splits if self._listed(split)]
        if not usable:
            return "no split has images: write one image id a line, or give no split to take all"
        return f"the splits with images are {', '.join(usable)}"

    def _xml(self, image_id: str) -> Path:
        return self.root / "Annotations" / f"{image_id}.xml"

    def _listed(self, split: str) -> list[str]:
        path = self._lists / f"{split}.txt"
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as a list of images ({error})") from error
        return [line.strip() for line in lines if line.strip()]


def _find_root(folder: Path) -> Path:
    """The folder that holds Annotations, with or without the levels VOCdevkit/VOCxxxx above."""
    for base in (folder, folder / "VOCdevkit"):
        if (base / "Annotations").is_dir():
            return base
        years = sorted(p for p in base.glob("VOC*") if (p / "Annotations").is_dir())
        if len(years) > 1:
            choice = ", ".join(str(year) for year in years)
            raise InputError(f"{folder}: holds several data sets; give one of {choice}")
        if years:
            return years[0]
    raise InputError(
        f"{folder}: is not in VOC format; it needs Annotations (one .xml an image), JPEGImages "
        "and ImageSets/Main (one .txt a split)"
    )


def _annotated_orientation(header, size, xml: Path, image: Path) -> int:
    """The orientation under which the boxes fit the image: the EXIF one, else as stored."""
    stored = (header.width, header.height)
    upright = stored[::-1] if header.orientation in TRANSPOSED else stored
    if size is None or size == upright:
        return header.orientation
    if size == stored:
        return 1  # the annotation tool ignored the EXIF orientation, and so must we
    annotated, actual = ("{:g} x {:g}".format(*s) for s in (size, upright))
    raise InputError(
        f"{xml}: was made for an image of {annotated} pixels, but {image} has {actual}; "
        "annotate it anew or restore the image"
    )


def _read_size(root: Element, path: Path) -> tuple[float, float] | None:
    texts = [(root.findtext(f"size/{tag}") or "0").strip() for tag in ("width", "height")]
    try:
        width, height = (float(text or 0) for text in texts)
    except ValueError:
        raise InputError(f"{path}: <size> is {' x '.join(texts)}, not two numbers") from None
    return (width, height) if width and height else None  # 0 x 0 is common and means unknown


def _read_object(element: Element, where: str) -> VocObject:
    if not (class_name := (element.findtext("name") or "").strip()):
        raise InputError(f"{where}: has no <name>")
    bndbox = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{tag}")
        if text is None:
            raise InputError(f"{where} ({class_name}): has no <bndbox> with <{tag}>")
        try:
            bndbox.append(float(text))
        except ValueError:
            bndbox.append(math.nan)
        if not math.isfinite(bndbox[-1]):
            raise InputError(f"{where} ({class_name}): <{tag}> is {text!r}, not a number")
    difficult = (element.findtext("difficult") or "").strip() or "0"
    if not re.fullmatch("[01]", difficult):
        raise InputError(f"{where} ({class_name}): <difficult> is {difficult!r}, not 0 or 1")
    return VocObject(class_name, tuple(bndbox), difficult == "1")
