"""Data sets as a table: a row an object, `image, x1, y1, x2, y2, class`.

    photos/objects.csv            one table, or one a split: train.csv, test.csv

Boxes are continuous pixels, x2 and y2 beyond the last one. A row with nothing behind the image
says that it has no objects. The columns may have a header, then in any order and with others beside
them; `xmin` and the like are taken as well.
"""

import csv
import io
import math
from pathlib import Path

from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.paths import existing, find_image, inside
from keras_frcnn.data.split_names import SPLIT_NAMES
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import Files, folder_called
from keras_frcnn.errors import InputError, cut, shown

COLUMNS = ("image", "x1", "y1", "x2", "y2", "class")
_OTHER_NAMES = {
    "image": ("image", "filename", "file", "file_name", "path", "img", "image_path", "image_id"),
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
    "class": ("class", "label", "name", "class_name", "category"),
}


def find_tables(path: Path) -> list[Path]:
    """The tables of a folder, or the file itself; none where there are none.

    Raises:
        InputError: the folder cannot be read.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".csv" else []
    tables = Files(path, (".csv",), recursive=False)
    paths = [path / paths[0] for _, paths in sorted(tables.paths.items())]
    splits = [p for p in paths if p.stem.lower() in SPLIT_NAMES]
    return splits or paths[:1] if len(paths) <= 1 or splits else []


def read_tables(path: Path, files: list[Path]) -> ListedSource:
    """The data set of a folder or a table; `files` are what `find_tables` finds.

    Raises:
        InputError: a table cannot be read, or a row is none; the first is named and the others are
            counted.
    """
    root = path if path.is_dir() else path.parent
    folders = existing([root, *(folder_called(root, n) for n in ("images", "JPEGImages"))])
    images: dict[str, FoundImage] = {}
    splits: dict[str, list[str]] = {}
    for file in files:
        for name, objects in _read(file).items():
            image = find_image(name, [*folders, folder_called(root, file.stem)])
            filename = image.relative_to(root).as_posix()
            known = images.get(filename, FoundImage(filename, image, file, ()))
            images[filename] = known._replace(objects=known.objects + tuple(objects))
            splits.setdefault(file.stem, []).append(filename)
    if len(files) == 1 and files[0].stem.lower() not in SPLIT_NAMES:
        splits = {}
    class_names = sorted({obj.class_name for image in images.values() for obj in image.objects})
    return ListedSource("CSV table", root, class_names, images, splits)


def _read(file: Path) -> dict[str, list[FoundObject]]:
    """The objects of each image, in the order of the table."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: cannot be read as a table ({reason})") from error
    places = _places(rows[0]) if rows else None
    if places is None and rows and not _is_row(rows[0]):
        raise InputError(
            f"{file}: line 1 is neither a header with the columns {', '.join(COLUMNS)} nor a row "
            "of them"
        )
    faults, found = Faults(), {}
    for number, row in enumerate(rows, start=1):
        if (number == 1 and places) or not any(cell.strip() for cell in row):
            continue
        with faults.of("lines", f"line {number}"):
            _add(f"{file}: line {number}", row, places or range(len(COLUMNS)), found)
    faults.check()
    return found


def _places(header: list[str]) -> list[int] | None:
    """Where the columns are, if the row is a header."""
    names = [cell.strip().lower() for cell in header]
    found = [
        next((names.index(other) for other in _OTHER_NAMES[column] if other in names), None)
        for column in COLUMNS
    ]
    return None if None in found else found


def _is_row(row: list[str]) -> bool:
    try:
        return len(row) == 1 or bool([float(cell or 0) for cell in row[1:5]])
    except ValueError:
        return False


def _add(where: str, row: list[str], places, found: dict[str, list[FoundObject]]) -> None:
    cells = [row[i].strip() if i < len(row) else "" for i in places]
    if not cells[0]:
        raise InputError(f"{where}: has no image")
    objects = found.setdefault(inside(cells[0], where), [])
    if not any(cells[1:]):
        return
    try:
        box = tuple(map(float, cells[1:5]))
    except ValueError:
        box = (math.nan,)
    if not all(map(math.isfinite, box)):
        raise InputError(f"{where}: {shown(', '.join(cells[1:5]))} is no box of four numbers")
    if not (name := tidy_name(cells[5])):
        raise InputError(f"{where}: has no class")
    text = "({:g}, {:g}, {:g}, {:g})".format(*box)
    objects.append(FoundObject(f"{where} ({cut(name)})", name, box, text))
