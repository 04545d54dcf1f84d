"""Data sets in COCO's JSON: boxes, masks, classes and `iscrowd` of detection.

    photos/annotations/instances_train2017.json, photos/train2017/*       COCO
    photos/annotations/instances_val.json, photos/images/val/*            the same elsewhere
    photos/train/_annotations.coco.json, photos/train/*                   Roboflow
    photos/photos.json, photos/*                                          one file beside the images

pycocotools reads these files too, but takes what it finds: a missing image or category becomes a
KeyError without the name of the annotation. So the few fields that are needed are read here.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.json_files import load_json, read_bytes
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.paths import existing, find_image, inside
from keras_frcnn.data.segmentation import of_coco
from keras_frcnn.data.split_names import SPLIT_NAMES
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import Files, folder_called
from keras_frcnn.errors import InputError, cut, shown

_ROBOFLOW = "_annotations.coco"
_MOST_FILES = 100  # of a folder that are looked into; a folder of LabelMe has one an image
_START = re.compile(rb'\s*\{\s*"')
_YEAR = re.compile(r"(.*\D)(19|20)\d\d")


def find_coco(path: Path) -> list[Path]:
    """COCO's files of a folder, or the file itself; none where there are none.

    Raises:
        InputError: a folder cannot be read.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    beside = Files(path, (".json",), recursive=False)
    inner = Files(folder_called(path, "annotations"), (".json",), recursive=False)
    roboflow = Files(path, (".json",))
    found = [
        path / paths[0]
        for name, paths in sorted(roboflow.paths.items())
        if name.rpartition("/")[2] == _ROBOFLOW
    ]
    if found:
        return found
    for files in (inner, beside):
        paths = [files.folder / paths[0] for _, paths in sorted(files.paths.items())]
        if named := [p for p in paths if p.name.lower().startswith("instances")]:
            return named
        if len(paths) <= _MOST_FILES and (found := [p for p in paths if _is_coco(p)]):
            return found
    return []


def read_coco(path: Path, files: list[Path]) -> ListedSource:
    """The data set of a folder, or of one JSON file; `files` are what `find_coco` finds.

    Splits are called as the files: `instances_train2017.json` holds `train`, or `train2017` where
    other years are beside it; those of Roboflow as their folders. A file alone that has no such
    name holds all images, of no split.

    Raises:
        InputError: a file is not COCO's, or what an entry of it says cannot be; the first of a kind
            is named and the others are counted.
    """
    root = path if path.is_dir() else path.parent
    if root != path and root.name.lower() == "annotations":
        root = root.parent
    contents = {file: _load(file) for file in files}
    class_names = _class_names(contents)
    category_ids = {
        name: number
        for file in reversed(files)  # the first that has a class tells
        for number, name in _categories(file, contents[file]).items()
    }
    images: dict[str, FoundImage] = {}
    splits: dict[str, list[str]] = {}
    for split, file in _split_names(files, root).items():
        ids = splits[split] = []
        for image in _images(file, contents[file], root, split):
            known = images.setdefault(image.filename, image)
            if known is not image and known.path != image.path:
                raise InputError(f"{file}: {image.path} and {known.path} have the same name")
            if known is not image and known.objects != image.objects:
                images[image.filename] = _joined(known, image)
            ids.append(image.filename)
    if len(files) == 1 and not _names_a_split(files[0]):
        splits = {}
    return ListedSource("COCO JSON", root, class_names, images, splits, category_ids)


def _joined(known: FoundImage, image: FoundImage) -> FoundImage:
    """An image of two files: it has the objects that both tell of once."""
    seen = set(map(_identity, known.objects))
    more = tuple(obj for obj in image.objects if _identity(obj) not in seen)
    return known._replace(objects=known.objects + more)


def _identity(obj: FoundObject) -> tuple:
    """What two files that tell of the same object agree in; one without box is its mask."""
    return obj.class_name, obj.box or repr(obj.mask)


def _is_coco(path: Path) -> bool:
    """Whether the file looks like an object with images and categories; reading it shows more."""
    content = read_bytes(path)
    is_object = _START.match(content) is not None
    return is_object and b'"images"' in content and b'"categories"' in content


def _load(path: Path) -> dict:
    content = load_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: is no COCO file, which has images, annotations and categories")
    for key in ("images", "annotations", "categories"):
        entries = content.get(key, [] if key == "annotations" else None)
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise InputError(f"{path}: is no COCO file: it has no list of {key}")
    return content


def _class_names(contents: Mapping[Path, dict]) -> tuple[str, ...]:
    """Names of all categories by their ids; those that are only the kind of others left out.

    Roboflow adds the project's name as a category that no object has.
    """
    names: dict[str, None] = {}
    above, used = set(), set()
    for path, content in contents.items():
        categories = _categories(path, content)
        used |= {
            categories.get(_integer(a.get("category_id"))) for a in content.get("annotations", [])
        }
        above |= {
            c.get("supercategory")
            for c in content["categories"]
            if isinstance(c.get("supercategory"), str)
        }
        names |= dict.fromkeys(categories[i] for i in sorted(categories))
    return tuple(name for name in names if name in used or name not in above or len(names) == 1)


def _categories(path: Path, content: dict) -> dict[int, str]:
    """The name of each category by its id."""
    found: dict[int, str] = {}
    for place, category in enumerate(content["categories"]):
        number, name = _integer(category.get("id")), category.get("name")
        if number is None or not isinstance(name, str) or not tidy_name(name):
            raise InputError(f"{path}: category {place} needs a number as id and a name")
        if found.setdefault(number, tidy_name(name)) != tidy_name(name):
            raise InputError(f"{path}: two categories have the id {number}")
    return found


def _images(path: Path, content: dict, root: Path, split: str) -> list[FoundImage]:
    """The images of one file with their objects."""
    faults, categories = Faults(), _categories(path, content)
    objects: dict[int, list[FoundObject]] = {}
    known = {_integer(image.get("id")) for image in content["images"]}
    for place, annotation in enumerate(content.get("annotations", [])):
        name = f"annotation {shown(annotation.get('id', f'number {place}'))}"
        with faults.of("annotations", name):
            image_id, obj = _object(f"{path}: {name}", annotation, categories)
            if image_id not in known:
                raise InputError(f"{path}: {name}: there is no image with the id {image_id}")
            objects.setdefault(image_id, []).append(obj)
    folders = existing(_folders(path, root, split))
    found: list[FoundImage] = []
    seen: set[int] = set()
    for place, image in enumerate(content["images"]):
        with faults.of("images", f"image {place}"):
            where = f"{path}: image {place}"
            number, name = _integer(image.get("id")), image.get("file_name")
            if number is None or not isinstance(name, str) or not name:
                raise InputError(f"{where}: needs a number as id and a file_name")
            if number in seen:
                raise InputError(f"{where}: another image has the id {number}")
            seen.add(number)
            file = find_image(inside(name, where), folders)
            filename = file.relative_to(root).as_posix()
            size = image.get("width"), image.get("height")
            known_size = all(_is_number(x) and x > 0 for x in size)
            found.append(
                FoundImage(
                    filename,
                    file,
                    path,
                    tuple(objects.get(number, ())),
                    tuple(map(float, size)) if known_size else None,
                    coco_id=number,
                )
            )
    faults.check()
    return found


def _object(where: str, annotation: dict, categories: Mapping[int, str]):
    """The image's id and the object of one annotation."""
    number = _integer(annotation.get("category_id"))
    if number not in categories:
        raise InputError(
            f"{where}: there is no category with the id {shown(annotation.get('category_id'))}"
        )
    # A crowd is a region of many objects: like a difficult one neither to find nor to miss.
    is_crowd = annotation.get("iscrowd") in (1, True)
    name, mask = categories[number], of_coco(annotation.get("segmentation"))
    box = annotation.get("bbox")
    if box is None and mask:
        found = FoundObject(f"{where} ({cut(name)})", name, None, "", is_crowd, mask=mask)
        return _integer(annotation.get("image_id")), found
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise InputError(f"{where}: its bbox is {cut(shown(box))}, not [x, y, width, height]")
    x, y, width, height = map(float, box)
    return _integer(annotation.get("image_id")), FoundObject(
        f"{where} ({cut(name)})",
        name,
        (x, y, x + width, y + height),
        f"({x:g}, {y:g}, {width:g}, {height:g})",
        is_difficult=is_crowd,
        is_degenerate=width <= 0 or height <= 0,
        mask=mask,
    )


def _folders(path: Path, root: Path, split: str) -> list[Path]:
    """Where the images of a file may lie, the likeliest first."""
    stem = path.stem.removeprefix("instances_")
    if path.stem == _ROBOFLOW:
        return [path.parent]
    images = folder_called(root, "images")
    names = dict.fromkeys((stem, split))
    nested = [base / name for name in names for base in (root, images)]
    return [*nested, images, path.parent, root]


def _split_names(files: list[Path], root: Path) -> dict[str, Path]:
    """The split that each file holds."""
    names = []
    for file in files:
        if file.stem == _ROBOFLOW:
            names.append(
                file.parent.relative_to(root).as_posix() if file.parent != root else "train"
            )
        else:
            names.append(file.stem.removeprefix("instances_"))
    without_year = [match[1].rstrip("_-") if (match := _YEAR.fullmatch(n)) else n for n in names]
    if len(set(without_year)) == len(names):
        names = without_year
    return dict(zip(names, files, strict=True))


def _names_a_split(path: Path) -> bool:
    return path.stem in (_ROBOFLOW, *SPLIT_NAMES) or path.stem.startswith("instances_")


def _integer(value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_number(value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Not math.isfinite, which fails at integers that are too large for a float.
    return is_number and abs(value) <= sys.float_info.max
