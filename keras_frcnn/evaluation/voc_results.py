"""Result files of the Pascal VOC devkit, `comp3_det_test_<class>.txt`: a row a detection.

Rows are `image_id score xmin ymin xmax ymax`, with pixels counted from 1 and both ends inside: a
box of ours is (x1 + 1, y1 + 1, x2, y2) there.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError, cut, shown
from keras_frcnn.evaluation.coco_results import from_rows
from keras_frcnn.evaluation.voc import check_detections
from keras_frcnn.file_names import file_names
from keras_frcnn.files import make_folder, replacing

_TO_VOC = np.float32([1, 1, 0, 0])
# comp3 and comp4 are the challenges with and without training data of one's own.
_NAME = re.compile(r"comp\d+_det_[^_]+_(?P<class>.+)\.txt")


def write_voc_results(
    directory: str | Path, detections: Sequence[Detections], dataset: Dataset
) -> None:
    """Write a file for each class.

    Images are called by their filename without extension (with it where images differ in it
    alone). Of a class name that cannot be part of a file name the characters at fault become `_`.
    Every file appears when it is complete.

    Args:
        directory: made if it is missing.
        detections: one `Detections` an image.
        dataset: its images, in the same order.

    Raises:
        InputError: the detections do not fit the data set, or `directory` cannot be written.
    """
    check_detections(detections, dataset)
    directory = Path(directory)
    make_folder(directory)
    image_ids = _image_ids(dataset)
    for k, class_name in enumerate(file_names(dataset.class_names), start=1):
        target = directory / f"comp3_det_test_{class_name}.txt"
        with (
            replacing(target) as partial,
            partial.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for image_id, found in zip(image_ids, detections, strict=True):
                of_class = found.classes == k
                boxes = found.boxes[of_class] + _TO_VOC
                for box, score in zip(boxes, found.scores[of_class], strict=True):
                    file.write(f"{image_id} {score:.6f} {' '.join(f'{x:.2f}' for x in box)}\n")


def is_voc_results(directory: Path) -> bool:
    """Whether the folder holds such files."""
    return bool(_result_files(directory))


def read_voc_results(directory: str | Path, dataset: Dataset) -> list[Detections]:
    """Read the files of all classes; a class without a file has no detections.

    Args:
        directory: with files of any challenge and set, `comp*_det_*_<class>.txt`.
        dataset: the images; their ids may have an extension.

    Returns:
        one `Detections` an image, in the order of the data set.

    Raises:
        InputError: there are no such files, or two of a class; a file is of another class; a row
            is none, or is of an image that the data set has not. File and row are named.
    """
    directory = Path(directory)
    files = _result_files(directory)
    if not files:
        raise InputError(f"{directory}: holds no result files, such as comp3_det_test_person.txt")
    labels = {name: k for k, name in enumerate(file_names(dataset.class_names), start=1)}
    places = {image_id: i for i, image_id in enumerate(_image_ids(dataset))}
    places |= {record.filename: i for i, record in enumerate(dataset.images)}
    rows: list[list[list[float]]] = [[] for _ in dataset.images]
    known: dict[str, Path] = {}
    for file, class_name in files.items():
        if class_name not in labels:
            raise InputError(
                f"{file}: the class {shown(class_name)} is none of {dataset.name}: "
                + cut(", ".join(labels))
            )
        if class_name in known:
            raise InputError(
                f"{file}: {known[class_name].name} is of the same class; leave one out"
            )
        known[class_name] = file
        for place, row in _rows(file, places, dataset.name):
            score, *box = row
            rows[place].append([*(np.float64(box) - _TO_VOC), score, labels[class_name]])
    return [
        from_rows(found, dataset.class_names, record)
        for found, record in zip(rows, dataset.images, strict=True)
    ]


def _result_files(directory: Path) -> dict[Path, str]:
    """The class of each file."""
    matches = {path: _NAME.fullmatch(path.name) for path in sorted(directory.glob("comp*.txt"))}
    return {path: match["class"] for path, match in matches.items() if match}


def _rows(file: Path, places: dict[str, int], name: str):
    """The image's place, and score and box in the devkit's pixels, of each row."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = line.rsplit(None, 5)  # an id may hold spaces
        try:
            image_id, values = parts[0].strip(), list(map(float, parts[1:]))
        except ValueError:
            values = []
        if len(values) != 5 or not all(map(math.isfinite, values)):
            raise InputError(
                f"{file}: row {number} is {shown(line)}, not image score xmin ymin xmax ymax"
            )
        if image_id not in places:
            raise InputError(f"{file}: row {number}: {name} has no image {shown(image_id)}")
        yield places[image_id], values


def _image_ids(dataset: Dataset) -> list[str]:
    names = [record.filename for record in dataset.images]
    stems = [os.path.splitext(name)[0] for name in names]
    if len(set(stems)) == len(stems):
        return stems
    counts = Counter(stems)
    return [s if counts[s] == 1 else name for s, name in zip(stems, names, strict=True)]
