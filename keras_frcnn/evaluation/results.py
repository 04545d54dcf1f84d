"""Anybody's detections from a file, in whichever of the known forms it is."""

import csv
from pathlib import Path
from typing import Any

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.json_files import load_json
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError, cut, shown
from keras_frcnn.evaluation.coco_results import (
    from_entries,
    from_rows,
    is_finite,
    mask_of,
)
from keras_frcnn.evaluation.voc_results import read_voc_results
from keras_frcnn.files import write_json

COLUMNS = ("file", "class", "score", "x1", "y1", "x2", "y2")  # of `detect`'s table


def write_detections(path: str | Path, detections: list[Detections], dataset: Dataset) -> None:
    """Write the detections of each image under its filename, in the form of `detect`."""
    names = dataset.class_names
    images = zip(dataset.images, detections, strict=True)
    write_json(Path(path), {record.filename: d.to_json(names) for record, d in images})


def read_detections(path: str | Path, dataset: Dataset) -> list[Detections]:
    """Read detections of the images of a data set.

    Args:
        path: a folder with result files of VOC (`comp4_det_test_<class>.txt`), a result list of
            COCO (.json), or what `keras-frcnn evaluate` and `detect` write: detections.json, which
            has a list for each image, and detections.csv.
        dataset: its images and classes; an image that the file does not name has no detections.

    Returns:
        one `Detections` an image, in the order of the data set, best first.

    Raises:
        InputError: the file has none of these forms, or an entry that cannot be of the data set:
            an unknown image or class, values that are no numbers. File and entry are named.
    """
    path = Path(path)
    if path.is_dir():
        return read_voc_results(path, dataset)
    if path.suffix.lower() == ".csv":
        return _from_rows(path, _table(path), dataset)
    content = load_json(path)
    if isinstance(content, dict):
        return from_images(path, content, dataset)
    return from_entries(path, content, dataset)


def from_images(path: str | Path, content: dict[str, Any], dataset: Dataset) -> list[Detections]:
    """As `read_detections`, from what a detections.json holds.

    Args:
        path: what messages call the file or folder.
        content: for each image, by filename or path, a list in the form of `Detections.to_json`.
        dataset: its images and classes.
    """
    return _from_rows(path, _entries(path, content), dataset)


def _entries(path: str | Path, content: dict[str, Any]):
    """Where, file, class, numbers and mask of each detection in a detections.json."""
    for file, entries in content.items():
        if not isinstance(entries, list):
            raise InputError(f"{path}: {cut(file)}: is {shown(entries)}, not a list of detections")
        yield f"{path}: {cut(file)}", file, None, (), None
        for number, entry in enumerate(entries):
            where = f"{path}: {cut(file)}: detection {number}"
            if not isinstance(entry, dict):
                raise InputError(f"{where} is {shown(entry)}, not an object")
            box = entry.get("box")
            if not isinstance(box, list) or len(box) != 4:
                raise InputError(f"{where}: its box is {shown(box)}, not [x1, y1, x2, y2]")
            yield where, file, entry.get("class"), (*box, entry.get("score")), entry.get("mask")


def _table(path: Path):
    """The same of the rows of a detections.csv."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path}: its first row must be {','.join(COLUMNS)}")
    for number, row in enumerate(rows[1:], start=2):
        where = f"{path}: row {number}"
        if len(row) != len(COLUMNS):
            raise InputError(f"{where} has {len(row)} columns, not {len(COLUMNS)}")
        name, class_name, score, *box = row
        try:
            yield where, name, class_name, (*map(float, box), float(score)), None
        except ValueError:
            raise InputError(f"{where}: score and box must be numbers") from None


def _from_rows(path: str | Path, found, dataset: Dataset) -> list[Detections]:
    """Collect what `_entries` and `_table` give; a row without a class is that of an image."""
    places = _Places(dataset)
    labels = {name: k for k, name in enumerate(dataset.class_names, start=1)}
    rows: list[list[list[float]]] = [[] for _ in dataset.images]
    masks: list[list[bytes | None]] = [[] for _ in dataset.images]
    for where, file, class_name, numbers, mask in found:
        place = places.of(where, file)
        if not numbers:
            continue
        if not isinstance(class_name, str) or class_name not in labels:
            known = cut(", ".join(labels))
            raise InputError(f"{where}: its class is {shown(class_name)}, none of {known}")
        if not all(map(is_finite, numbers)):
            raise InputError(f"{where}: score and box must be numbers, not {shown(numbers)}")
        rows[place].append([*numbers, labels[class_name]])
        masks[place].append(mask_of(where, mask, dataset.images[place]))
    return [
        from_rows(of_image, dataset.class_names, record, drawn)
        for of_image, drawn, record in zip(rows, masks, dataset.images, strict=True)
    ]


class _Places:
    """Which image of a data set a file's name means: its filename, its path, or its last part."""

    def __init__(self, dataset: Dataset):
        self._name = dataset.name
        self._known = {record.filename: i for i, record in enumerate(dataset.images)}
        self._paths = {Path(r.path).resolve(): i for i, r in enumerate(dataset.images)}
        self._last: dict[str, list[int]] = {}
        for i, record in enumerate(dataset.images):
            self._last.setdefault(Path(record.path).name, []).append(i)

    def of(self, where: str, file: str) -> int:
        """The place of the image."""
        if (place := self._known.get(file)) is None:
            place = self._paths.get(Path(file).resolve())
        if place is None:
            candidates = self._last.get(Path(file).name, ())
            if len(candidates) != 1:
                which = "has several images" if candidates else "has no image"
                raise InputError(f"{where}: {self._name} {which} {shown(file)}")
            place = candidates[0]
        self._known[file] = place
        return place
