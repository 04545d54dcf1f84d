"""Folders with an XML annotation an image, as Pascal VOC has them (`voc_layout`)."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from keras_frcnn.data import assembly, voc_masks, voc_orientation
from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.voc_annotation import VocAnnotation, VocObject, read_annotation
from keras_frcnn.data.voc_files import Files, folder_called
from keras_frcnn.data.voc_layout import find_layout, folder_splits
from keras_frcnn.data.voc_lists import VocLists
from keras_frcnn.data.voc_names import VocNames
from keras_frcnn.errors import InputError, cut

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

    form = "Pascal VOC"
    category_ids: Mapping[str, int] = {}

    def __init__(self, folder: str | os.PathLike):
        if (layout := find_layout(Path(folder))) is None:
            raise InputError(
                f"{folder}: is not in VOC format; it needs an .xml an image, beside it or in "
                "Annotations with the images in JPEGImages, and may have lists in ImageSets/Main "
                "(one .txt a split)"
            )
        self.root = layout.root
        self._names = VocNames(layout)
        self._lists = VocLists(self.root)
        self._annotations: dict[str, VocAnnotation | None] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the lists in ImageSets/Main, without the lists of single classes.

        Without lists those of the folders, where all images lie in such as `train` and `test`.
        """
        return self._lists.splits or tuple(sorted(self._folders))

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        return folder_splits(self._names.annotated())

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split in its order; of the whole folder if `split` is None.

        Raises:
            InputError: there is no such split, or it is empty.
        """
        if split is None:
            if self._lists.splits:
                lines = [line for name in self.splits for line in self._listed(name)]
                ids = sorted({line.name for line in lines})
            else:
                ids = self._names.annotated()
            if not ids:
                raise InputError(f"{self.root}: has no annotated images")
            return ids
        if not self._lists.splits and split in self._folders:
            return self._folders[split]
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
        self, ids: Sequence[str], class_names: Sequence[str], with_masks: bool = True
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records of the images `ids`, and a line about everything that is doubtful.

        Boxes go from 1-based inclusive pixels to continuous ones and are clipped to the image.

        Raises:
            InputError: an image is missing, unreadable or of another size than annotated; an
                object is of a class that is not among `class_names`. The first of a kind is
                named, the others are counted.
        """
        images = self._images(ids, self._read_annotations(ids))
        if with_masks and self._masks.paths:
            images = self._with_masks(images)
        warnings: list[str] = []
        if missing := [image_id for image_id in ids if self._annotation(image_id) is None]:
            warnings.append(
                f"{self._xml(missing[0])}: is missing; {len(missing)} of {len(ids)} images have no "
                "annotation and count as images without objects"
            )
        records, lines = assembly.records(images, class_names, self._turns, with_masks)
        return records, warnings + lines

    @cached_property
    def _masks(self) -> Files:
        """The files that number the pixels of objects; in most data sets none."""
        return Files(folder_called(self.root, voc_masks.OBJECTS), (".png",))

    def _with_masks(self, images: Sequence[FoundImage]) -> list[FoundImage]:
        faults, found = Faults(), []
        for image in images:
            paths = self._masks.paths.get(os.path.splitext(image.filename)[0])
            with faults.of("masks", image.filename):
                file = self._masks.folder / paths[0] if paths else None
                found.append(voc_masks.with_masks(image, file) if file else image)
        faults.check()
        return found

    def image_files(self, ids: Sequence[str]) -> list[Path]:
        """The files of the images `ids`.

        Raises:
            InputError: one is missing, or an annotation cannot be read.
        """
        return [image.path for image in self._images(ids, self._read_annotations(ids))]

    def _images(self, ids, annotations) -> list[FoundImage]:
        """What the annotations say, with the files of the images."""
        faults, images, seen = Faults(), [], {}
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
            objects = tuple(
                _object(f"{xml}: object {number} ({cut(obj.class_name)})", obj)
                for number, obj in enumerate(annotation.objects, start=1)
            )
            image = self._names.images.folder / path
            images.append(FoundImage(path, image, xml, objects, annotation.size))
        faults.check()
        return images

    def _turns(self) -> bool | None:
        """Whether the folder was annotated on turned images; reads the headers of all."""
        ids = self._names.annotated()
        found = []
        for image_id, annotation in zip(ids, self._read_annotations(ids), strict=True):
            path = self._names.image(image_id, annotation.filename)
            if path is not None and annotation.size is not None:
                image = self._names.images.folder / path
                with suppress(InputError):  # it may be in another split than what is loaded
                    found.append(
                        assembly.annotated(FoundImage(path, image, None, (), annotation.size))
                    )
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
        for split in self._lists.splits:
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
        usable = list(self._folders) if not self._lists.splits else []
        for split in self._lists.splits:
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


def _object(where: str, obj: VocObject) -> FoundObject:
    """An object of an annotation, its 1-based inclusive pixels made continuous."""
    xmin, ymin, xmax, ymax = obj.bndbox
    return FoundObject(
        where,
        obj.class_name,
        (xmin - 1, ymin - 1, xmax, ymax),
        "({:g}, {:g}, {:g}, {:g})".format(*obj.bndbox),
        obj.difficult,
        # xmax = xmin would be a column of one pixel, but in practice is a slip of the mouse.
        is_degenerate=xmax <= xmin or ymax <= ymin,
    )
