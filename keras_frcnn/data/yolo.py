"""Data sets in YOLO's format: `data.yaml`, and a text file an image.

    photos/data.yaml                      names of the classes; train, val, test: folders or lists
    photos/images/train/a.jpg             or photos/train/images/a.jpg, as Roboflow has it
    photos/labels/train/a.txt             class x y width height, fractions of the image, from 0

or, without `data.yaml`, `classes.txt` beside the labels. A row of more numbers is the outline of
the object, of which the box around it is taken. An image without a text file has no objects.
"""

import math
from pathlib import Path

import yaml

from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.split_names import SPLIT_NAMES
from keras_frcnn.data.voc_annotation import tidy_name
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files, folder_called, is_folder
from keras_frcnn.errors import InputError, cut, shown

_CLASSES = "classes.txt"
_NO_SPLITS = ("path", "names", "nc", "download")


def find_yolo(path: Path) -> Path | None:
    """The file of a folder that names YOLO's classes, or the file itself; None without any.

    Raises:
        InputError: a folder cannot be read.
    """
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") else None
    found = Files(path, (".yaml", ".yml"), recursive=False).paths
    for name in sorted(found, key=lambda n: (n != "data", n)):
        if b"names" in (file := path / found[name][0]).read_bytes():
            return file
    for folder in (path, folder_called(path, "labels")):
        if (folder / _CLASSES).is_file():
            return folder / _CLASSES
    return None


def read_yolo(path: Path, file: Path) -> ListedSource:
    """The data set of a folder or of its `data.yaml`; `file` is what `find_yolo` finds.

    Raises:
        InputError: a file cannot be read, or a row is none; the first of a kind is named and the
            others are counted.
    """
    root = path if path.is_dir() else path.parent
    if file.name == _CLASSES:
        class_names, splits = tuple(map(tidy_name, _text(file).split("\n"))), {}
        class_names = tuple(filter(None, class_names))
    else:
        class_names, splits = _read_yaml(file)
    if not class_names or len(set(class_names)) < len(class_names):
        raise InputError(f"{file}: names of classes must be different and at least one")
    if not splits:
        splits = _folders(root)
    if not splits:  # all images of the folder, of no split
        images = [root / paths[0] for paths in Files(root, IMAGE_SUFFIXES).paths.values()]
        splits = {"": sorted(images)}
    faults = Faults()
    found: dict[str, FoundImage] = {}
    ids: dict[str, list[str]] = {}
    for split, images in splits.items():
        ids[split] = []
        for image in images:
            name = _name(image, root)
            with faults.of("label files", name):
                if name not in found:
                    found[name] = _image(name, image, class_names)
                ids[split].append(name)
    faults.check()
    return ListedSource("YOLO", root, class_names, found, {s: n for s, n in ids.items() if s})


def _read_yaml(file: Path) -> tuple[tuple[str, ...], dict[str, list[Path]]]:
    """Class names, and the images of the splits that are there."""
    try:
        content = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise InputError(f"{file}: is no YAML ({' '.join(str(error).split())})") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise InputError(f"{file}: names must be numbered from 0 without a gap")
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(n, str | int | float) for n in names):
        raise InputError(f"{file}: has no list of the classes' names")
    base = file.parent
    if isinstance(content.get("path"), str):  # absolute, or from where the tool was started
        for root in (Path(content["path"]), file.parent / content["path"]):
            if is_folder(root):
                base = root
                break
    splits = {}
    for split in dict.fromkeys((*SPLIT_NAMES, *content)):
        entries = content.get(split)
        entries = entries if isinstance(entries, list) else [entries]
        entries = [e for e in entries if isinstance(e, str) and e]
        if split not in SPLIT_NAMES:  # perhaps a split of another name, perhaps something else
            is_list = split not in _NO_SPLITS and all(_exists(e, base, file) for e in entries)
            entries = entries if is_list else []
        if images := [i for e in entries for i in _images(e, base, file, split)]:
            splits[split] = images
    return tuple(tidy_name(str(n)) for n in names), splits


def _images(entry: str, base: Path, file: Path, split: str) -> list[Path]:
    """The images of a folder or list that `data.yaml` names."""
    text = entry.replace("\\", "/")
    # Roboflow writes ../train/images where it means train/images.
    for start in dict.fromkeys((text, text.removeprefix("../"))):
        for folder in dict.fromkeys((base, file.parent)):
            path = folder / start
            if path.is_dir():
                found = Files(path, IMAGE_SUFFIXES).paths.values()
                return sorted(path / paths[0] for paths in found)
            if path.is_file():
                lines = [line.strip() for line in _text(path).splitlines()]
                return [_listed(line, folder, path) for line in filter(None, lines)]
    if split == "test" or text.startswith("http"):  # many files name one that was never made
        return []
    raise InputError(f"{file}: {split}: there is no folder or list {shown(entry)}")


def _exists(entry: str, base: Path, file: Path) -> bool:
    return any((folder / entry).exists() for folder in (base, file.parent))


def _listed(line: str, base: Path, file: Path) -> Path:
    for folder in (base, file.parent):
        if (path := folder / line).is_file():
            return path
    raise InputError(f"{file}: the image {shown(line)} is missing")


def _folders(root: Path) -> dict[str, list[Path]]:
    """Images by split, in images/train or train/images."""
    splits = {}
    images = folder_called(root, "images")
    for split in SPLIT_NAMES:
        for folder in (folder_called(images, split), folder_called(root, split)):
            if found := Files(folder, IMAGE_SUFFIXES).paths.values():
                splits[split] = sorted(folder / paths[0] for paths in found)
                break
    return splits


def _name(image: Path, root: Path) -> str:
    try:
        return image.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:  # data.yaml may name folders elsewhere
        return image.absolute().as_posix()


def _image(name: str, image: Path, class_names) -> FoundImage:
    """An image with the objects of its label file."""
    label = _label_file(image)
    if label is None:
        return FoundImage(name, image, None, ())
    faults, objects = Faults(), []
    for number, line in enumerate(_text(label).splitlines(), start=1):
        if line.strip():
            with faults.of("lines", f"line {number}"):
                objects.append(_object(f"{label}: line {number}", line, class_names))
    faults.check()
    return FoundImage(name, image, label, tuple(objects), is_relative=True)


def _label_file(image: Path) -> Path | None:
    """labels/.../a.txt of images/.../a.jpg; else the one beside the image."""
    parts = list(image.parts)
    for place in reversed(range(len(parts) - 1)):
        if parts[place].lower() == "images":
            for labels in ("labels", "Labels"):
                path = Path(*parts[:place], labels, *parts[place + 1 :]).with_suffix(".txt")
                if path.is_file():
                    return path
            break
    path = image.with_suffix(".txt")
    return path if path.is_file() else None


def _object(where: str, line: str, class_names) -> FoundObject:
    try:
        number, *values = map(float, line.split())
    except ValueError:
        raise InputError(f"{where}: {shown(line)} is not a class and fractions") from None
    if not all(map(math.isfinite, (number, *values))) or number != int(number):
        raise InputError(f"{where}: {shown(line)} is not a class and fractions")
    if not 0 <= number < len(class_names):
        raise InputError(f"{where}: class {int(number)}, but there are {len(class_names)} names")
    if len(values) == 4:
        x, y, width, height = values
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        count = len(values)
        raise InputError(f"{where}: has {count} numbers behind the class, not 4 or an outline")
    if max(map(abs, values)) > 2:
        raise InputError(f"{where}: {shown(line)}: fractions of the image are wanted, not pixels")
    name = class_names[int(number)]
    text = "({})".format(", ".join(f"{v:g}" for v in values[:4]))
    return FoundObject(f"{where} ({cut(name)})", name, box, text)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as text ({reason})") from error
