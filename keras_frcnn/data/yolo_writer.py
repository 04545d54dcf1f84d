"""Writes `data.yaml`, a list of images a split, and `labels/` for the images in `images/`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from keras_frcnn.data.dataset import ImageRecord


def write_yolo(
    folder: Path,
    class_names: Sequence[str],
    records: Sequence[ImageRecord],
    splits: Mapping[str, Sequence[str]],
) -> None:
    """Write the annotations of a data set whose images lie in `folder/images`.

    That an object is difficult is lost.

    Args:
        folder: of the data set.
        class_names: of the labels 1..K, which are counted from 0 here.
        records: all images, their `filename` being the path in `images`.
        splits: the file names of each.
    """
    for record in records:
        path = (folder / "labels" / record.filename).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (record.width, record.height)
        rows = zip(record.labels, record.boxes.tolist(), strict=True)
        path.write_text("".join(_row(int(k) - 1, box, size) for k, box in rows), "utf-8")
    for split, names in splits.items():
        lines = "".join(f"./images/{name}\n" for name in names)
        (folder / f"{split}.txt").write_text(lines, "utf-8")
    content = {split: f"{split}.txt" for split in splits} | {"names": list(class_names)}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, "utf-8")


def _row(label: int, box: Sequence[float], size: tuple[int, int]) -> str:
    x1, y1, x2, y2 = box
    numbers = (x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1]
    numbers += (x2 - x1) / size[0], (y2 - y1) / size[1]
    return " ".join([str(label), *map(repr, numbers)]) + "\n"
