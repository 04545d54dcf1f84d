"""Rewrites a data set in another form: `keras-frcnn convert`."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frcnn.data.coco_writer import write_coco
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.hash_splits import HashSplits
from keras_frcnn.data.load import load, open_source
from keras_frcnn.data.voc_writer import write_voc
from keras_frcnn.data.yolo_writer import write_yolo
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, private_folder
from keras_frcnn.progress_bar import counted

# How each form is written, and the folder of its images.
_WRITERS = {
    "voc": (write_voc, "JPEGImages"),
    "coco": (write_coco, "images"),
    "yolo": (write_yolo, "images"),
}
FORMS = tuple(_WRITERS)


class Converted(NamedTuple):
    """What was written."""

    images: int
    objects: int
    difficult: int  # objects that were, and in YOLO's form no longer are
    warnings: tuple[str, ...]  # of the data set that was read: what was left out


def convert_data(
    spec: str | os.PathLike,
    to: str | os.PathLike,
    form: str,
    data_dir: str | os.PathLike | None = None,
) -> Converted:
    """Write a data set with its splits, classes and boxes as another form, and read it back.

    Image files are copied as they are. The folder appears when all of it is written and gives the
    same boxes bit for bit, the same classes in the same order of each image, and the same
    difficult objects where the form has such. COCO's form keeps masks, too.

    Args:
        spec, data_dir: as `keras_frcnn.data.load.load` takes them; one data set, not a union.
        to: the folder to make.
        form: "voc", "coco" or "yolo".

    Raises:
        InputError: the data set cannot be read, `to` is there and not empty, or the form cannot
            hold an image as it is, which is named.
    """
    if form not in _WRITERS:
        raise InputError(f"format is {form!r}; there are {', '.join(FORMS)}")
    to = Path(to)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to}: is there already; name a new folder")
    source = open_source(os.fspath(spec), data_dir)
    names = () if isinstance(source, HashSplits) else source.splits
    everything = load(spec, None, None, data_dir)
    splits = {name: load(spec, name, None, data_dir) for name in names}
    warnings = list(everything.warnings)
    found = {record.path: record for record in everything.images}
    for dataset in splits.values():
        found.update((record.path, record) for record in dataset.images)
        warnings += dataset.warnings
    records = [replace(record, filename=_name(record)) for record in found.values()]
    write, images = _WRITERS[form]
    lists = {n: [_name(record) for record in dataset.images] for n, dataset in splits.items()}
    make_folder(to.parent)
    try:
        with private_folder(to.parent, f".{to.name}-") as unfinished:
            unfinished.chmod(0o755)
            _copy(records, unfinished / images)
            write(unfinished, everything.class_names, records, lists)
            _check(unfinished, everything.class_names, records, lists, form)
            if to.is_dir():
                to.rmdir()
            os.replace(unfinished, to)
    except OSError as error:
        raise InputError(f"cannot write {to}: {error}") from error
    if form != "coco" and any(record.masks for record in records):
        warnings.append(f"{spec}: its masks are left out; --format coco keeps them")
    difficult = sum(int(record.is_difficult.sum()) for record in records)
    objects = sum(len(record.labels) for record in records)
    return Converted(len(records), objects, difficult, tuple(dict.fromkeys(warnings)))


def _copy(records: Sequence[ImageRecord], folder: Path) -> None:
    taken: dict[str, str] = {}
    for record in counted(records, len(records), "copying images", leave=False):
        if (other := taken.setdefault(record.filename.casefold(), record.path)) != record.path:
            raise InputError(f"{other} and {record.path} would have the same name; rename one")
        target = folder / record.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(record.path, target)


def _check(
    folder: Path,
    class_names: Sequence[str],
    records: Sequence[ImageRecord],
    lists: Mapping[str, Sequence[str]],
    form: str,
) -> None:
    """Read what was written and compare it with what should be there."""
    source = open_source(str(folder))
    written_splits = () if isinstance(source, HashSplits) else source.splits
    if set(written_splits) != set(lists):
        wrong = ", ".join(sorted(set(written_splits) ^ set(lists)))
        raise InputError(f"{form} cannot hold the splits as they are ({wrong}); rename them")
    written = {}
    for split in lists or [None]:
        dataset = load(folder, split, class_names)
        written.update((_name(record), record) for record in dataset.images)
        if split and [_name(record) for record in dataset.images] != lists[split]:
            raise InputError(f"{form} cannot hold the list of {split} as it is")
    for record in records:
        if (found := written.get(record.filename)) is None:
            if not lists or any(record.filename in names for names in lists.values()):
                raise InputError(f"{record.path}: {form} cannot hold an image of this name")
            continue  # of no split: there, but of no list
        if found.orientation != record.orientation:
            raise InputError(
                f"{record.path}: its boxes are of the image {_reading(record)}, and {form} cannot "
                "say so; take the orientation out of its EXIF data"
            )
        same = np.array_equal(found.boxes, record.boxes)
        same &= np.array_equal(found.labels, record.labels)
        same &= form == "yolo" or np.array_equal(found.is_difficult, record.is_difficult)
        same &= form != "coco" or found.masks == record.masks
        if not same:
            why = "give another --format"
            if form == "voc" and (record.boxes[:, 2:] - record.boxes[:, :2] <= 1).any():
                why = "one has a pixel or less a side, which VOC takes for none; " + why
            raise InputError(f"{record.path}: {form} cannot hold its boxes as they are: {why}")


def _name(record: ImageRecord) -> str:
    """The image's path in the folder of images, which some forms have and others not."""
    return record.filename.removeprefix("images/").lstrip("/")


def _reading(record: ImageRecord) -> str:
    return "as it is stored" if record.orientation == 1 else "turned upright"
