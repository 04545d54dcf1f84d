"""Writes `annotations/instances_<split>.json` for the images in `images/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_frcnn import run_length
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.files import write_json

_ALL = "objects"  # the name of the file of a data set without splits


def write_coco(
    folder: Path,
    class_names: Sequence[str],
    records: Sequence[ImageRecord],
    splits: Mapping[str, Sequence[str]],
) -> None:
    """Write the annotations of a data set whose images lie in `folder/images`.

    An image, an object and a class have the same id in every file. A difficult object is a crowd.

    Args:
        folder: of the data set.
        class_names: of the labels 1..K, which become the ids.
        records: all images, their `filename` being the path in `images`.
        splits: the file names of each; one file of all where there are none.
    """
    categories = [{"id": k, "name": name} for k, name in enumerate(class_names, start=1)]
    images, annotations = {}, {}
    first = 1
    for number, record in enumerate(records, start=1):
        images[record.filename] = {
            "id": number,
            "file_name": record.filename,
            "width": record.width,
            "height": record.height,
        }
        annotations[record.filename] = list(_annotations(record, number, first))
        first += len(record.labels)
    (folder / "annotations").mkdir()
    for split, names in (splits or {_ALL: list(images)}).items():
        content = {
            "images": [images[name] for name in names],
            "annotations": [a for name in names for a in annotations[name]],
            "categories": categories,
        }
        name = f"instances_{split}.json" if splits else f"{_ALL}.json"
        write_json(folder / "annotations" / name, content)


def _annotations(record: ImageRecord, image_id: int, first: int):
    masks = record.masks or (None,) * len(record.labels)
    rows = zip(record.boxes.tolist(), record.labels, record.is_difficult, masks, strict=True)
    size = record.height, record.width
    for number, ((x1, y1, x2, y2), label, is_difficult, mask) in enumerate(rows, start=first):
        about = {
            "id": number,
            "image_id": image_id,
            "category_id": int(label),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": int(is_difficult),
        }
        if mask is not None:
            about["area"] = run_length.area(mask, *size)
            about["segmentation"] = {"size": list(size), "counts": mask.decode("ascii")}
        yield about
