"""From what the user asks for, such as `voc/2007:trainval`, to a `Dataset`."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.forms import recognise
from keras_frcnn.data.hash_splits import FRACTIONS, HashSplits
from keras_frcnn.data.source import Source
from keras_frcnn.data.split_names import TRAINING_SPLITS, known_as
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import is_folder
from keras_frcnn.errors import InputError, shown
from keras_frcnn.file_names import printable
from keras_frcnn.remote import fetched, is_remote

SHAPES = "shapes"
TFDS_NAMES = ("voc/2007", "voc/2012")

_SPLIT = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<first>-?\d+%?)?:(?P<last>-?\d+%?)?\])?")
_TERM = re.compile(r"(?P<source>.+?):(?P<split>[^/:\[\]]+(\[[^\]]*\])?)")


class Part(NamedTuple):
    """One term of a union: a source and which of its images."""

    source: str  # voc/2007, voc/2012, shapes or a folder
    split: str | None  # "trainval", with a slice: "trainval[:100]"; None for all images


def load(
    spec: str | os.PathLike,
    split: str | None = None,
    class_names: Sequence[str] | None = None,
    data_dir: str | os.PathLike | None = None,
    fractions: Sequence[float] = FRACTIONS,
    masks: bool = True,
) -> Dataset:
    """Loads a data set, or the union of several.

    Args:
        spec: `voc/2007` or `voc/2012` (TensorFlow Datasets), `shapes` (generated), or a folder in
            one of the forms of `keras_frcnn.data.forms`, or a file of annotations (.json, .yaml,
            .csv). Parts are joined by `+` and name their split behind a colon:
            `voc/2007:trainval+voc/2012:trainval`. A folder whose name is taken is reached as
            `./voc/2007`. A folder at a URL (`gs://`, `s3://`) is copied first (`remote.fetched`).
        split: the split of those parts that name none: `trainval`, `train+val`, also sliced as
            in `trainval[:100]` or `train[10%:20%]`. None takes all images.
        class_names: names of the labels 1..K. By default those found in all annotations of the
            data set, sorted, so that every split agrees.
        data_dir: where TensorFlow Datasets keeps its data sets.
        fractions: of the images in train, val and test where a data set has no lists: then the
            content of an image decides (`keras_frcnn.data.hash_splits`).
        masks: whether the objects' masks are wanted, where there are some: to draw those of
            polygons takes a minute for 100,000 photographs.

    Raises:
        InputError: nothing of that name; an unknown or empty split; unusable files, named with
            the object at fault; an object whose class is not among `class_names`.
    """
    spec = os.fspath(spec)
    if any("\ud800" <= c <= "\udfff" for c in spec):
        raise InputError(
            f"{printable(spec)}: its name is not UTF-8 and cannot be kept with a run; rename it"
        )
    parts = parse(spec, split)
    sources = {part.source: open_source(part.source, data_dir, fractions) for part in parts}
    if class_names is None:
        # In the order of the files, which some forms number; of several data sets sorted.
        found = dict.fromkeys(name for s in sources.values() for name in s.class_names())
        class_names = tuple(found if len(sources) == 1 else sorted(found))
        if not class_names:
            raise InputError(
                f"{spec}: has no annotated objects to find class names in; annotate some, or name "
                "the classes (class_names, --classes)"
            )
    else:
        class_names = tuple(class_names)
        if not class_names or len(set(class_names)) < len(class_names):
            raise InputError(f"class names must be different and at least one: {class_names}")

    records: dict[str, ImageRecord] = {}  # by path, since parts may overlap
    folder_of: dict[str, Path] = {}
    warnings: list[str] = []
    notes: list[str] = []
    for part in parts:
        source = sources[part.source]
        chosen, lines = source.records(select_ids(source, part.split), class_names, masks)
        records.update((record.path, record) for record in chosen)
        folder_of.update((record.path, source.root) for record in chosen)
        warnings += lines
        if part.split and isinstance(source, HashSplits):
            notes.append(source.described())
    return Dataset(
        name="+".join(":".join(filter(None, part)) for part in parts),
        class_names=class_names,
        images=_with_unique_filenames(list(records.values()), folder_of),
        warnings=tuple(dict.fromkeys(warnings)),
        category_ids=_category_ids(list(sources.values()), class_names),
        notes=tuple(dict.fromkeys(notes)),
    )


def training_split(
    spec: str | os.PathLike, data_dir: str | os.PathLike | None = None
) -> str | None:
    """The split to train on where none is named: `trainval`, else `train`; None where a data set
    names its splits itself.

    Raises:
        InputError: as `load`; or there are lists, but neither of these, or not the same in all
            parts of a union.
    """
    parts = parse(os.fspath(spec))
    if any(part.split for part in parts):
        return None
    splits = {part.source: open_source(part.source, data_dir).splits for part in parts}
    for name in TRAINING_SPLITS:
        if all(name in found for found in splits.values()):
            return name
    described = "; ".join(f"{source} has {', '.join(s) or 'none'}" for source, s in splits.items())
    raise InputError(
        f"--split: say what to train on, there is no list {' or '.join(TRAINING_SPLITS)} "
        f"({described})"
    )


def parse(spec: str, split: str | None = None) -> list[Part]:
    """Takes a data set specification apart; `split` is for the parts that name none."""
    default = split.split("+") if split else [None]
    if is_folder(spec):  # whatever characters its name has
        return [Part(spec, name) for name in default]
    parts: list[Part] = []
    for term in spec.split("+"):
        match = _TERM.fullmatch(term)
        if match and not _exists(term):
            parts.append(Part(match["source"], match["split"]))
        elif parts and parts[-1].split and not _exists(term):
            parts.append(Part(parts[-1].source, term))  # voc/2007:train+val
        else:
            parts += [Part(term, name) for name in default]
    if split and not any(part.split in default for part in parts):
        raise InputError(f"{spec} names its splits itself; leave {split} out, or them")
    return parts


def open_source(
    source: str,
    data_dir: str | os.PathLike | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> Source:
    """Finds, makes or unpacks the data set behind `source`; it has splits, if by hash."""
    if source in TFDS_NAMES:
        from keras_frcnn.data.tfds_voc import unpack

        return recognise(unpack(source, data_dir))
    if is_remote(source):
        return open_source(str(fetched(source)), data_dir, fractions)
    if source == SHAPES:
        from keras_frcnn.data.shapes import generate

        return recognise(generate())
    if is_folder(source) or _is_file(source):
        found = recognise(source)
        return found if found.splits else HashSplits(found, fractions)
    raise InputError(
        f"{shown(source)} is no data set; give {', '.join(TFDS_NAMES)} (TensorFlow Datasets), "
        f"{SHAPES} (generated), or an existing folder, a folder's URL or file of annotations"
    )


def select_ids(source: Source, split: str | None) -> list[str]:
    """Ids of a split, also of a slice such as `train[10%:20%]`, in the order of its list."""
    if split is None:
        return source.ids(None)
    if not (match := _SPLIT.fullmatch(split)):
        raise InputError(f"{split!r} is no split; write it like trainval or trainval[:100]")
    name = known_as(match["name"], source.splits)
    ids = source.ids(name)
    first, last = (_position(match[end], len(ids)) for end in ("first", "last"))
    if not (chosen := ids[first:last]):
        raise InputError(f"{split!r} takes none of the {len(ids)} images of {name}")
    return chosen


def _position(text: str | None, count: int) -> int | None:
    if text and text.endswith("%"):
        return round(count * int(text[:-1]) / 100)
    return int(text) if text else None


def _exists(term: str) -> bool:
    return term in TFDS_NAMES or term == SHAPES or is_folder(term) or _is_file(term)


def _is_file(term: str) -> bool:
    return os.path.splitext(term)[1].lower() in (".json", ".csv", ".yaml", ".yml") and (
        os.path.isfile(term)
    )


def _category_ids(sources: Sequence[Source], class_names: Sequence[str]) -> tuple[int, ...]:
    """COCO's ids of the classes; none where a class has none, or data sets are joined."""
    known = sources[0].category_ids if len(sources) == 1 else {}
    ids = [known.get(tidy_name(name)) for name in class_names]
    return () if None in ids else tuple(ids)


def _with_unique_filenames(
    records: list[ImageRecord], folder_of: Mapping[str, Path]
) -> tuple[ImageRecord, ...]:
    """Puts the folder's name before the file names where a union has one of them twice."""
    if len({record.filename for record in records}) < len(records):
        records = [
            replace(record, filename=f"{folder_of[record.path].name}/{record.filename}")
            for record in records
        ]
    seen: dict[str, str] = {}
    for record in records:
        if (other := seen.setdefault(record.filename, record.path)) != record.path:
            raise InputError(
                f"{other} and {record.path} cannot be told apart by folder and file name; "
                "rename one of the folders"
            )
    return tuple(records)
