"""COCO's result files: a list of detections, `[{"image_id", "category_id", "bbox", "score"}, ...]`.

`bbox` is [x, y, width, height] in continuous pixels, `segmentation`, where there are masks, run
lengths of the image as {"size": [height, width], "counts": text}. Ids are those of COCO's own file
where the data set is COCO's; otherwise images count from 1 in the order of the data set, and class
k is category k. `file_name` and `category` stand beside them for readers without that file.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.json_files import load_json
from keras_frcnn.data.segmentation import of_coco
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError, cut, shown
from keras_frcnn.evaluation.voc import check_detections
from keras_frcnn.files import write_json


def image_ids(dataset: Dataset) -> list[int]:
    """COCO's id of each image."""
    ids = [record.coco_id for record in dataset.images]
    return ids if _are_of_coco(dataset) else list(range(1, len(ids) + 1))


def _are_of_coco(dataset: Dataset) -> bool:
    """Whether a file of COCO has numbered the images; of joined data sets, each without overlap."""
    ids = [record.coco_id for record in dataset.images]
    return None not in ids and len(set(ids)) == len(ids)


def category_ids(dataset: Dataset) -> tuple[int, ...]:
    """COCO's id of each class."""
    return dataset.category_ids or tuple(range(1, len(dataset.class_names) + 1))


def coco_entries(
    found: Detections,
    image_id: int,
    file_name: str,
    class_names: Sequence[str],
    ids: Sequence[int],
) -> list[dict[str, Any]]:
    """The entries of one image; `class_names` and `ids` are of the classes 1..K."""
    entries = [
        {
            "image_id": image_id,
            "category_id": ids[k - 1],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
            "file_name": file_name,
            "category": class_names[k - 1],
        }
        for (x1, y1, x2, y2), score, k in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        )
    ]
    if found.masks is not None:
        for entry, mask in zip(entries, found.masks, strict=True):
            size = list(found.image_size)
            entry["segmentation"] = {"size": size, "counts": mask.decode("ascii")}
    return entries


def write_coco_results(
    path: str | Path, detections: Sequence[Detections], dataset: Dataset
) -> None:
    """Write the detections of all images of a data set.

    Raises:
        InputError: the detections do not fit the data set, or the file cannot be written.
    """
    check_detections(detections, dataset)
    ids, names = category_ids(dataset), dataset.class_names
    images = zip(image_ids(dataset), dataset.images, detections, strict=True)
    entries = [e for i, r, found in images for e in coco_entries(found, i, r.filename, names, ids)]
    write_json(Path(path), entries)


def read_coco_results(path: str | Path, dataset: Dataset) -> list[Detections]:
    """Read what `write_coco_results`, or anybody's detector, has written.

    A class is found by `category_id`. An image is found by `image_id`, and where the data set is
    not COCO's, so that nobody but us has numbered it, by `file_name` if the entry has one.

    Returns:
        one `Detections` an image, in the order of the data set.

    Raises:
        InputError: the file is no list of detections, or an entry cannot be of the data set; it is
            named.
    """
    return from_entries(path, load_json(path), dataset)


def from_entries(path: str | Path, entries: Any, dataset: Dataset) -> list[Detections]:
    """The detections in the content of a result file; as `read_coco_results`."""
    if not isinstance(entries, list):
        raise InputError(f"{path}: is no list of detections as COCO has it")
    by_id = {number: i for i, number in enumerate(image_ids(dataset))}
    by_name = {record.filename: i for i, record in enumerate(dataset.images)}
    if _are_of_coco(dataset):  # and not we, so that names are only checked
        by_name = None
    labels = {number: k for k, number in enumerate(category_ids(dataset), start=1)}
    rows: list[list[list[float]]] = [[] for _ in dataset.images]
    masks: list[list[bytes | None]] = [[] for _ in dataset.images]
    for number, entry in enumerate(entries):
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{where} is {shown(entry)}, not an object")
        place = _place(where, entry, by_id, by_name, dataset.name)
        category = entry.get("category_id")
        if not _is_integer(category) or category not in labels:
            raise InputError(
                f"{where}: category_id is {shown(category)}; {dataset.name} has "
                + cut(", ".join(f"{i} ({dataset.class_names[k - 1]})" for i, k in labels.items()))
            )
        label = labels[category]
        file_name = dataset.images[place].filename
        _check_names(where, entry, file_name, tidy_name(dataset.class_names[label - 1]))
        box, score = entry.get("bbox"), entry.get("score")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
            raise InputError(f"{where}: bbox is {shown(box)}, not [x, y, width, height]")
        if not is_finite(score):
            raise InputError(f"{where}: score is {shown(score)}, not a number")
        x, y, width, height = box
        rows[place].append([x, y, x + width, y + height, score, label])
        masks[place].append(mask_of(where, entry.get("segmentation"), dataset.images[place]))
    return [
        from_rows(found, dataset.class_names, record, drawn)
        for found, drawn, record in zip(rows, masks, dataset.images, strict=True)
    ]


def mask_of(where: str, value: Any, record: ImageRecord) -> bytes | None:
    """The run lengths of a mask as COCO has it; None where there is none.

    Raises:
        InputError: it is broken, or of another size than the image.
    """
    mask = of_coco(value)
    return None if mask is None else mask.counts(where, record.height, record.width)


def from_rows(
    rows: Sequence[Sequence[float]],
    class_names: Sequence[str],
    record: ImageRecord,
    masks: Sequence[bytes | None] = (),
) -> Detections:
    """Detections of rows x1, y1, x2, y2, score, class, the best first as detectors give them.

    `masks` has one for each row or None for each, else there is an `InputError`.
    """
    if None in masks and any(mask is not None for mask in masks):
        raise InputError(f"{record.filename}: some of its detections have masks, others none")
    table = np.array(rows, np.float64).reshape(-1, 6)
    order = np.argsort(-table[:, 4], kind="stable")
    table = table[order]
    about = table[:, :4], table[:, 4], table[:, 5], tuple(class_names)
    if None in masks or not masks:
        return Detections(*about)
    size = record.height, record.width
    return Detections(*about, tuple(masks[i] for i in order), size)


def _place(
    where: str, entry: dict, by_id: dict[int, int], by_name: dict[str, int] | None, name: str
) -> int:
    """The place of the image of an entry in the data set, by its name where `by_name` is given."""
    file_name, image_id = entry.get("file_name"), entry.get("image_id")
    if by_name is not None and isinstance(file_name, str):
        if file_name in by_name:
            return by_name[file_name]
        raise InputError(f"{where}: {name} has no image {shown(file_name)}")
    if not _is_integer(image_id) or image_id not in by_id:
        raise InputError(f"{where}: {name} has no image with the id {shown(image_id)}")
    return by_id[image_id]


def _check_names(where: str, entry: dict, file_name: str, class_name: str) -> None:
    """Refuse an entry whose ids are of another numbering than the data set's: its names tell."""
    found = entry.get("file_name")
    if isinstance(found, str) and PurePath(found).name != PurePath(file_name).name:
        raise InputError(
            f"{where}: its image_id is that of {shown(file_name)}, but its file_name is "
            f"{shown(found)}; the ids are not those of the data set"
        )
    if isinstance(found := entry.get("category"), str) and tidy_name(found) != class_name:
        raise InputError(
            f"{where}: its category_id is that of {shown(class_name)}, but its category is "
            f"{shown(found)}; the ids are not those of the data set"
        )


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether it is a number that a box or a score may have; numbers of JSON have any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
