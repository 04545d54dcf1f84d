"""Data sets whose masks are images: a file an object, or one with a number an object.

    photos/ID/images/ID.png, photos/ID/masks/*.png       a binary mask an object (DSB 2018)
    photos/images/a.jpg, photos/masks/a/*.png            the same
    photos/images/a.jpg, photos/masks/a.png              object i where the value is i, 0 background
    photos/PNGImages/a.png, photos/PedMasks/a_mask.png   the same (Penn-Fudan)

All objects are of one class, called `object`, or of as many as there are folders between: of
`photos/masks/cat/a.png` and `photos/masks/dog/a.png`. A file with one value beside 0 is one object.
Folders called as splits are splits: `photos/train/images`, `photos/train/masks`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_frcnn import run_length
from keras_frcnn.data.assembly import FoundImage, FoundObject
from keras_frcnn.data.faults import Faults
from keras_frcnn.data.listed import ListedSource
from keras_frcnn.data.segmentation import Drawn
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files, folder_called, is_folder
from keras_frcnn.data.voc_layout import folder_splits
from keras_frcnn.errors import InputError

_PAIRS = (("images", "masks"), ("PNGImages", "PedMasks"), ("images", "labels"))
_MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
_ONE_CLASS = "object"
_ENDS = ("", "_mask", "_masks", "_label", "_labels")  # of masks behind the image's name
NO_IMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # Pillow's errors
_BORDER = 255  # of label images with a palette: belongs to no one


def find_mask_images(path: Path) -> list[Path]:
    """The folders of masks in a folder; none where there are none.

    Raises:
        InputError: a folder cannot be read.
    """
    if not path.is_dir():
        return []
    here = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir())]
    nested = [*here, *(e for p in here[1:] for e in sorted(p.iterdir()) if e.is_dir())]
    return [
        masks
        for folder in dict.fromkeys(nested)
        for _, name in _PAIRS
        if is_folder(masks := folder_called(folder, name)) and Files(masks, _MASK_SUFFIXES).paths
    ]


def read_mask_images(path: Path, folders: Sequence[Path]) -> ListedSource:
    """The data set of a folder; `folders` are what `find_mask_images` finds.

    Raises:
        InputError: a mask is of no image, of several, or cannot be read; the first of a kind is
            named and the others are counted.
    """
    faults, images = Faults(), {}
    for masks in folders:
        partner = next(a for a, b in _PAIRS if b.lower() == masks.name.lower())
        photographs = Files(folder_called(masks.parent, partner), IMAGE_SUFFIXES)
        for _, paths in sorted(photographs.paths.items()):
            image = photographs.folder / paths[0]
            filename = image.relative_to(path).as_posix()
            images[filename] = FoundImage(filename, image, None, ())
        alone = len(photographs.paths) == 1
        for name, paths in sorted(Files(masks, _MASK_SUFFIXES).paths.items()):
            file = masks / paths[0]
            with faults.of("masks", name):
                found = _image_of(name, photographs, alone)
                if found is None:
                    raise InputError(f"{file}: is a mask of no image in {photographs.folder}")
                image, class_name = found
                filename = (photographs.folder / image).relative_to(path).as_posix()
                known = images[filename]
                objects = tuple(_objects(file, class_name))
                images[filename] = known._replace(annotation=file, objects=known.objects + objects)
    faults.check()
    names = sorted({obj.class_name for image in images.values() for obj in image.objects})
    return ListedSource("mask images", path, names, images, folder_splits(list(images)))


def _image_of(name: str, photographs: Files, alone: bool) -> tuple[str, str] | None:
    """The image that a mask `name` is of, and its class; the only image of the folder has all."""
    *folders, last = name.split("/")
    for end in _ENDS:  # masks/a.png, masks/cat/a.png
        stem = last.removesuffix(end) if end else last
        if paths := photographs.paths.get(stem):
            return paths[0], "/".join(folders) or _ONE_CLASS
    if folders and (paths := photographs.paths.get(folders[-1])):  # masks/a/1.png
        return paths[0], "/".join(folders[:-1]) or _ONE_CLASS
    if alone:
        return next(iter(photographs.paths.values()))[0], "/".join(folders) or _ONE_CLASS
    return None


def _objects(file: Path, class_name: str) -> Iterator[FoundObject]:
    """The objects of a mask file."""
    labels = read_labels(file)
    height, width = labels.shape
    values = [v for v in np.unique(labels).tolist() if v]
    if len(values) > 1:  # 255 alone is an object in a binary file, beside numbers a border
        values = [v for v in values if v != _BORDER or max(values) > _BORDER]
    for value in values:
        where = f"{file}: object {value}" if len(values) > 1 else str(file)
        mask = Drawn(run_length.from_bitmap(labels == value), height, width)
        yield FoundObject(f"{where} ({class_name})", class_name, None, "", mask=mask)


def read_labels(file: Path) -> np.ndarray:
    """The numbers of a label image [H, W]; of a palette, its indices; of colours, one of each.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(file) as image:
            if image.mode in ("1", "L", "P", "I", "I;16", "I;16B"):
                return np.asarray(image).astype(np.int64)
            rgb = np.asarray(image.convert("RGB")).astype(np.int64)
            return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    except NO_IMAGE as error:
        raise InputError(f"{file}: cannot be read as an image ({error})") from error
