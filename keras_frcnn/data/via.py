"""Data sets of the VGG Image Annotator: a JSON file with the regions of many images.

    photos/via_region_data.json, photos/*.jpg           one file
    photos/train/via_region_data.json, photos/val/...   a file a split, as Mask R-CNN's examples

Both versions are read, whose regions are a list or an object, and whole projects. Polygons,
rectangles, circles and ellipses are objects; points and lines have no area and are left out with a
word. The class is what an attribute of the regions says, by the name that most regions have; where
no region says anything, all are of one class, `object`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_frcnn.data import outlines
from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.json_files import has_words, load_object
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.paths import find_image, inside
from keras_frcnn.data.segmentation import Polygons
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import Files
from keras_frcnn.data.voc_layout import folder_splits
from keras_frcnn.errors import InputError, cut, shown

_PROJECT = "_via_img_metadata"
_ONE_CLASS = "object"
_MOST_FILES = 100  # of a folder that are looked into
_WITHOUT_AREA = ("point", "polyline")


def find_via(path: Path) -> list[Path]:
    """VIA's files of a folder, or the file itself; none where there are none.

    Raises:
        InputError: a folder or file cannot be read.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _is_via(path) else []
    files = Files(path, (".json",))
    paths = [path / paths[0] for _, paths in sorted(files.paths.items())]
    return [p for p in paths if _is_via(p)] if len(paths) <= _MOST_FILES else []


def _is_via(path: Path) -> bool:
    return has_words(path, b'"regions"', b'"filename"', b'"shape_attributes"')


def read_via(path: Path, files: Sequence[Path]) -> ListedSource:
    """The data set of a folder, or of one file; `files` are what `find_via` finds.

    Raises:
        InputError: a file is none of VIA's, a region is none, or some regions have a class and
            others none; the first of a kind is named and the others are counted.
    """
    root = path if path.is_dir() else path.parent
    entries = {file: _entries(file) for file in files}
    regions = {
        (file, number): _regions(f"{file}: {name}", entry)
        for file, found in entries.items()
        for number, (name, entry) in enumerate(found)
    }
    attribute, only = _class_attribute(list(regions.values()))
    faults, images = Faults(), {}
    for (file, number), found in regions.items():
        name = entries[file][number][0]
        with faults.of("images", name):
            where = f"{file}: {cut(name)}"
            image = find_image(inside(name, where), [file.parent, root])
            objects = []
            for i, region in enumerate(found):
                with faults.of("regions", f"{name}, region {i}"):
                    objects.append(_object(f"{where}: region {i}", region, attribute, only))
            filename = image.relative_to(root).as_posix()
            if filename in images:
                raise InputError(f"{where}: another entry is of the same image")
            images[filename] = FoundImage(filename, image, file, tuple(objects))
    faults.check()
    names = sorted({obj.class_name for image in images.values() for obj in image.objects})
    return ListedSource("VIA", root, names, images, folder_splits(list(images)))


def _entries(file: Path) -> list[tuple[str, dict]]:
    """File name and entry of each image; the keys are names with sizes behind them."""
    content = load_object(file)
    content = content.get(_PROJECT, content)
    if not isinstance(content, dict):
        raise InputError(f"{file}: its {_PROJECT} is no object")
    found = []
    for key, entry in content.items():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise InputError(f"{file}: {cut(shown(key))}: has no filename")
        found.append((name, entry))
    return found


def _regions(where: str, entry: dict) -> list[dict]:
    """The regions of an image: a list in version 2, an object in version 1."""
    regions = entry.get("regions") or []
    regions = list(regions.values()) if isinstance(regions, dict) else regions
    if not isinstance(regions, list) or not all(isinstance(r, dict) for r in regions):
        raise InputError(f"{where}: its regions are no list of regions")
    return regions


def _class_attribute(images: Sequence[Sequence[dict]]) -> tuple[str | None, str | None]:
    """The attribute that has the class, and the class where all regions that have one agree."""
    count, values = Counter(), {}
    for region in (region for regions in images for region in regions):
        for name, value in _attributes(region).items():
            if text := _text(value):
                count[name] += 1
                values.setdefault(name, set()).add(text)
    if not count:
        return None, _ONE_CLASS
    attribute = min(count, key=lambda name: (-count[name], name))
    found = values[attribute]
    return attribute, next(iter(found)) if len(found) == 1 else None


def _attributes(region: Mapping) -> Mapping:
    found = region.get("region_attributes")
    return found if isinstance(found, dict) else {}


def _text(value) -> str | None:
    """The class that the value of an attribute names: a text, or the one box that is ticked."""
    if isinstance(value, dict):
        ticked = [key for key, is_on in value.items() if is_on]
        value = ticked[0] if len(ticked) == 1 else None
    return tidy_name(value) or None if isinstance(value, str) else None


def _object(where: str, region: dict, attribute: str | None, only: str | None) -> FoundObject:
    """The object of one region.

    Args:
        attribute: that names the class.
        only: the class of regions that name none.
    """
    name = _text(_attributes(region).get(attribute)) or only
    if name is None:
        raise InputError(f"{where}: has no class; others name theirs by {shown(attribute)}")
    where = f"{where} ({cut(name)})"
    shape = region.get("shape_attributes")
    kind = shape.get("name") if isinstance(shape, dict) else None
    if kind in _WITHOUT_AREA:
        return FoundObject(where, name, (0, 0, 0, 0), f"of a {kind}", is_degenerate=True)
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise InputError(
            f"{where}: its shape is {cut(shown(kind))}; known are {', '.join(_SHAPES)}, and "
            f"{', '.join(_WITHOUT_AREA)}, which are left out"
        )
    keys, outline = _SHAPES[kind]
    try:
        numbers = [shape[key] for key in keys]
        if kind == "ellipse":
            numbers.append(shape.get("theta", 0))
        return FoundObject(where, name, None, "", mask=Polygons([outline(*numbers)]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: a {kind} needs numbers called {', '.join(keys)} ({error!r})"
        ) from error


_SHAPES = {
    "polygon": (("all_points_x", "all_points_y"), outlines.interleaved),
    "rect": (
        ("x", "y", "width", "height"),
        lambda x, y, width, height: outlines.rectangle(x, y, x + width, y + height),
    ),
    "circle": (("cx", "cy", "r"), lambda cx, cy, r: outlines.ellipse(cx, cy, r, r)),
    "ellipse": (("cx", "cy", "rx", "ry"), outlines.ellipse),
}
