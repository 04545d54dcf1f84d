"""Data sets of LabelMe: a JSON file an image, with polygons, rectangles, circles or masks.

    photos/a.jpg, photos/a.json                 anywhere in the folder
    photos/train/..., photos/val/...            splits, where all images lie in such folders

Shapes of one label and one group_id are one object. A label `__ignore__` marks what is neither
object nor background, and is left out; so are lines and points, which have no area, with a word.
Where all labels of a data set end in numbers, as `person-1`, these count the objects of a class.
"""

import base64
import binascii
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_frcnn.data import outlines
from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.json_files import has_words, load_object
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.mask_images import NO_IMAGE
from keras_frcnn.data.paths import find_image
from keras_frcnn.data.segmentation import Pasted, Polygons, Segmentation, Union
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files
from keras_frcnn.data.voc_layout import folder_splits
from keras_frcnn.errors import InputError, cut, shown

_IGNORED = ("__ignore__", "_background_")
_NUMBERED = re.compile(r"(.+)-\d+")
_MOST_FILES = 100  # of a folder that are looked into
_WITHOUT_AREA = ("line", "linestrip", "point", "points")


def find_labelme(path: Path) -> list[Path]:
    """LabelMe's files of a folder, or the file itself; none where there are none.

    Raises:
        InputError: a folder or file cannot be read.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _is_labelme(path) else []
    files = Files(path, (".json",))
    paths = [path / paths[0] for _, paths in sorted(files.paths.items())]
    is_one = any(map(_is_labelme, paths[:_MOST_FILES]))  # of other tools there may be some
    return [p for p in paths if _is_labelme(p)] if is_one else []


def _is_labelme(path: Path) -> bool:
    return has_words(path, b'"shapes"', b'"imagePath"')


def read_labelme(path: Path, files: Sequence[Path]) -> ListedSource:
    """The data set of a folder, or of one file; `files` are what `find_labelme` finds.

    Raises:
        InputError: a file is none of LabelMe's, or a shape is none; the first of a kind is named
            and the others are counted.
    """
    root = path if path.is_dir() else path.parent
    faults, images = Faults(), {}
    contents = {}
    for file in files:
        with faults.of("annotations", file.name):
            contents[file] = _shapes(file, load_object(file))
    faults.check()
    labels = {label for _, shapes in contents.values() for _, label, _ in shapes}
    counted = bool(labels) and all(map(_NUMBERED.fullmatch, labels))
    for file, (content, shapes) in contents.items():
        with faults.of("annotations", file.name):
            image = _image(file, content, shapes, counted, root)
            if (other := images.setdefault(image.filename, image)) is not image:
                raise InputError(f"{file}: is of {image.path}, as {other.annotation} is")
    faults.check()
    names = sorted({obj.class_name for image in images.values() for obj in image.objects})
    return ListedSource("LabelMe", root, names, images, folder_splits(list(images)))


def _shapes(file: Path, content: dict) -> tuple[dict, list[tuple[str, str, dict]]]:
    """The content of a file, and where, label and content of each shape that is no void."""
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise InputError(f"{file}: is no file of LabelMe: it has no list of shapes")
    found = []
    for number, shape in enumerate(shapes):
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not (label := tidy_name(label)):
            raise InputError(f"{file}: shape {number}: has no label")
        if label not in _IGNORED:
            found.append((f"{file}: shape {number} ({cut(label)})", label, shape))
    return content, found


def _image(
    file: Path, content: dict, shapes: Sequence[tuple], counted: bool, root: Path
) -> FoundImage:
    """The image of a file with its objects."""
    name = content.get("imagePath")
    if not isinstance(name, str) or not name:
        raise InputError(f"{file}: has no imagePath")
    path = find_image(name.replace("\\", "/").rpartition("/")[2], [file.parent, root])
    if not os.path.isfile(path):  # it was converted since: one beside the file, called as it is
        beside = [file.with_suffix(suffix) for suffix in IMAGE_SUFFIXES]
        path = next((other for other in beside if other.is_file()), path)
    groups: dict[object, list[tuple]] = {}
    for number, (where, label, shape) in enumerate(shapes):
        group = shape.get("group_id")
        key = number if group is None else (label, str(group))
        groups.setdefault(key, []).append((where, label, shape))
    objects = []
    for parts in groups.values():
        where, label, _ = parts[0]
        if counted:
            label = _NUMBERED.fullmatch(label)[1]
        masks = [mask for part in parts if (mask := _mask(part[0], part[2])) is not None]
        if masks:
            mask = masks[0] if len(masks) == 1 else Union(tuple(masks))
            objects.append(FoundObject(where, label, None, "", mask=mask))
        else:
            about = f"of a {parts[0][2].get('shape_type')}"
            objects.append(FoundObject(where, label, (0, 0, 0, 0), about, is_degenerate=True))
    size = content.get("imageWidth"), content.get("imageHeight")
    known = all(isinstance(x, int) and not isinstance(x, bool) and x > 0 for x in size)
    return FoundImage(
        path.relative_to(root).as_posix(),
        path,
        file,
        tuple(objects),
        tuple(map(float, size)) if known else None,
    )


def _mask(where: str, shape: dict) -> Segmentation | None:
    """The mask of one shape; None of what has no area."""
    kind = shape.get("shape_type") or "polygon"
    points = shape.get("points")
    if not isinstance(points, list) or not all(map(_is_point, points)):
        raise InputError(f"{where}: its points are {cut(shown(points))}, not a list of [x, y]")
    if kind in _WITHOUT_AREA:
        return None
    needed = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}
    if not isinstance(kind, str) or kind not in needed:
        raise InputError(
            f"{where}: its shape_type is {cut(shown(kind))}; known are {', '.join(needed)}, and "
            f"{', '.join(_WITHOUT_AREA)}, which are left out"
        )
    enough = len(points) >= 3 if kind == "polygon" else len(points) == needed[kind]
    if not enough:
        raise InputError(f"{where}: a {kind} of {len(points)} points; it needs {needed[kind]}")
    if kind == "polygon":
        return Polygons([[number for point in points for number in point]])
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return Polygons([outlines.rectangle(x1, y1, x2, y2)])
    if kind == "circle":  # its centre, and a point of its rim
        radius = math.hypot(x2 - x1, y2 - y1)
        return Polygons([outlines.ellipse(x1, y1, radius, radius)])
    return Pasted(_bitmap(where, shape.get("mask")), round(x1), round(y1))


def _bitmap(where: str, text) -> np.ndarray:
    """A mask as LabelMe has it, a PNG file in base64."""
    try:
        content = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return np.asarray(image.convert("L")) > 0
    except (TypeError, binascii.Error, *NO_IMAGE) as error:
        raise InputError(f"{where}: its mask is no PNG file in base64 ({error})") from error


def _is_point(value) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
        and all(abs(x) < 1 << 24 for x in value)
    )
