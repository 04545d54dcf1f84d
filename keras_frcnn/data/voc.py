"""Folders in Pascal VOC format: `Annotations/*.xml`, `JPEGImages/`, `ImageSets/Main/*.txt`.

M is the number of annotated objects of an image.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_frcnn.data import voc_orientation
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.images import TRAINING_FORMATS, TRANSPOSED, read_header
from keras_frcnn.data.voc_annotation import VocAnnotation, read_annotation, tidy_name
from keras_frcnn.data.voc_files import folder_called, is_folder
from keras_frcnn.data.voc_lists import VocLists
from keras_frcnn.data.voc_names import VocNames
from keras_frcnn.data.voc_orientation import Annotated
from keras_frcnn.errors import InputError, cut
from keras_frcnn.file_names import printable

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

_EMPTY = VocAnnotation(None, None, (), False)


class VocFolder:
    """A data set in VOC format. Images are known by their id (`voc_names`).

    Raises:
        InputError: the folder is not in VOC format, cannot be read, or holds several VOC years.
    """

    def __init__(self, folder: str | os.PathLike):
        self.root = _find_root(Path(folder))
        self._names = VocNames(self.root)
        self._lists = VocLists(self.root)
        self._annotations: dict[str, VocAnnotation | None] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the lists in ImageSets/Main, without the lists of single classes."""
        return self._lists.splits

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split in its order; of the whole folder if `split` is None.

        Raises:
            InputError: there is no such split, or it is empty.
        """
        if split is None:
            if self.splits:
                lines = [line for name in self.splits for line in self._listed(name)]
                ids = sorted({line.name for line in lines})
            else:
                ids = self._names.annotated()
            if not ids:
                raise InputError(f"{self.root}: has no annotated images")
            return ids
        path = self._lists.path(split)
        if split not in self._lists:
            raise InputError(f"{path}: there is no such split; {self._choice}")
        lines = [line for line in self._listed(split) if line.has_class]
        if not (ids := list(dict.fromkeys(line.name for line in lines))):
            raise InputError(f"{path}: the split is empty; {self._choice}")
        return ids

    def class_names(self) -> tuple[str, ...]:
        """Sorted class names of all annotations, so that every split numbers them alike.

        A folder of genuine Pascal VOC annotations has the 20 classes, used or not.

        Raises:
            InputError: an annotation cannot be read.
        """
        annotations = self._read_annotations(self._names.annotated())
        found = {obj.class_name for annotation in annotations for obj in annotation.objects}
        if any(a.is_pascal for a in annotations) and found <= set(VOC_CLASSES):
            return VOC_CLASSES
        return tuple(sorted(found))

    def records(
        self, ids: Sequence[str], class_names: Sequence[str]
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records of the images `ids`, and a line about everything that is doubtful.

        Boxes go from 1-based inclusive pixels to continuous ones and are clipped to the image.

        Raises:
            InputError: an image is missing, unreadable or of another size than annotated; an
                object is of a class that is not among `class_names`. The first of a kind is
                named, the others are counted.
        """
        label_of = {tidy_name(name): label for label, name in enumerate(class_names, start=1)}
        annotations = self._read_annotations(ids)
        files = self._annotated(ids, annotations)
        voc_orientation.check_sizes(files)
        warnings: list[str] = []
        if missing := [image_id for image_id in ids if self._annotation(image_id) is None]:
            warnings.append(
                f"{self._xml(missing[0])}: is missing; {len(missing)} of {len(ids)} images have no "
                "annotation and count as images without objects"
            )
        doubtful = [file for file in files if file.is_ambiguous]
        turns = self._turns if doubtful else None
        if doubtful and turns is None:
            warnings.append(voc_orientation.ambiguity(doubtful))
        faults, records = Faults(), []
        for file, annotation in zip(files, annotations, strict=True):
            with faults.of("images", file.name):
                orientation = voc_orientation.orientation(file, turns)
                records.append(self._record(file, annotation, orientation, label_of, warnings))
        faults.check()
        return records, warnings

    def _record(self, file: Annotated, annotation, orientation, label_of, warnings) -> ImageRecord:
        height, width = file.header.height, file.header.width
        if orientation in TRANSPOSED:
            height, width = width, height
        boxes, labels, difficult = [], [], []
        for number, (class_name, bndbox, is_difficult) in enumerate(annotation.objects, start=1):
            where = f"{file.xml}: object {number} ({cut(class_name)})"
            if class_name not in label_of:
                known = ", ".join(label_of)
                raise InputError(f"{where}: is of none of the known classes: {cut(known)}")
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
            filename=printable(file.name),
            path=file.image,
            height=height,
            width=width,
            orientation=orientation,
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            labels=np.array(labels, np.int32),
            is_difficult=np.array(difficult, bool),
        )

    def _annotated(self, ids, annotations) -> list[Annotated]:
        """The image files of annotations, their headers read."""
        faults, files, seen = Faults(), [], {}
        folder = str(self._names.images.folder)
        for image_id, annotation in zip(ids, annotations, strict=True):
            path = self._names.image(image_id, annotation.filename)
            if path is None:
                faults.add("images", image_id, self._missing(image_id, annotation))
                continue
            xml = self._names.annotation(image_id)
            for file in filter(None, (path, xml)):
                if (other := seen.setdefault(file, image_id)) != image_id:
                    raise InputError(
                        f"{self.root}: {cut(other)} and {cut(image_id)} are both of {file}; "
                        "take one of them away, or name images and annotations alike"
                    )
            image = os.path.join(folder, path)
            with faults.of("unreadable images", path):
                header = read_header(image)
                if header.format not in TRAINING_FORMATS:
                    raise InputError(f"{image}: is a {header.format} file; save it as JPEG or PNG")
                size, has_objects = annotation.size, bool(annotation.objects)
                files.append(Annotated(path, image, header, xml, size, has_objects))
        faults.check()
        return files

    @cached_property
    def _turns(self) -> bool | None:
        """Whether the folder was annotated on turned images; reads the headers of all."""
        ids = self._names.annotated()
        found = []
        for image_id, annotation in zip(ids, self._read_annotations(ids), strict=True):
            path = self._names.image(image_id, annotation.filename)
            if path is not None and annotation.size is not None:
                image = str(self._names.images.folder / path)
                try:
                    header = read_header(image)
                except InputError:  # it may be in another split than what is loaded
                    continue
                found.append(Annotated(path, image, header, None, annotation.size, False))
        return voc_orientation.turns(found)

    def _missing(self, image_id: str, annotation: VocAnnotation) -> str:
        by = "named by" if self._annotation(image_id) else "listed in"
        name = annotation.filename or (
            image_id if os.path.splitext(image_id)[1] else f"{image_id}.jpg"
        )
        if self._annotation(image_id):
            where = self._xml(image_id)
        else:
            where = self._list_of.get(image_id, self._lists.folder)
        text = f"{self._names.images.folder / cut(name)}: the image is missing ({by} {where})"
        if example := next(iter(self._names.images.paths.values()), None):
            return f"{text}; images there are called like {example[0]}"
        return f"{text}; there are no images in that folder"

    @cached_property
    def _list_of(self) -> dict[str, Path]:
        """A list that names the image, for every image that one does."""
        found: dict[str, Path] = {}
        for split in self.splits:
            with suppress(InputError):
                for line in self._listed(split):
                    found.setdefault(line.name, self._lists.path(split))
        return found

    def _read_annotations(self, ids: Sequence[str]) -> list[VocAnnotation]:
        """The annotations of images, each read once; an empty one where there is no file."""
        faults = Faults()
        for image_id in ids:
            if image_id not in self._annotations:
                with faults.of("annotations", image_id):
                    self._annotation(image_id)
        faults.check()
        return [self._annotation(image_id) or _EMPTY for image_id in ids]

    def _annotation(self, image_id: str) -> VocAnnotation | None:
        """The image's annotation, read once; None where there is no file."""
        if image_id not in self._annotations:
            xml = self._names.annotation(image_id)
            self._annotations[image_id] = read_annotation(xml) if xml else None
        return self._annotations[image_id]

    @property
    def _choice(self) -> str:
        """What can be asked for instead of a split that cannot be had."""
        usable = []
        for split in self.splits:
            with suppress(InputError):  # about that list, while another one is asked for
                usable += [split] if self._listed(split) else []
        if not usable:
            return "no split has images: write one image id a line, or give no split to take all"
        return f"the splits with images are {', '.join(usable)}"

    def _xml(self, image_id: str) -> Path:
        """Where the annotation of an image is, or would be."""
        annotations = self._names.annotations.folder
        return self._names.annotation(image_id) or annotations / f"{image_id}.xml"

    def _listed(self, split: str):
        return self._lists.read(split, self._names.find)


def _find_root(folder: Path) -> Path:
    """The folder that holds Annotations, with or without the levels VOCdevkit/VOCxxxx above."""
    for base in (folder, folder / "VOCdevkit"):
        if is_folder(folder_called(base, "Annotations")):
            return base
        years = sorted(p for p in base.glob("VOC*") if is_folder(folder_called(p, "Annotations")))
        if len(years) > 1:
            choice = ", ".join(str(year) for year in years)
            raise InputError(f"{folder}: holds several data sets; give one of {choice}")
        if years:
            return years[0]
    raise InputError(
        f"{folder}: is not in VOC format; it needs Annotations (one .xml an image), JPEGImages "
        "and ImageSets/Main (one .txt a split)"
    )
