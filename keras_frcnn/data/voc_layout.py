"""Where a folder with VOC annotations keeps them, the images, and what belongs to which split.

    photos/Annotations/*.xml, photos/JPEGImages/*     the devkit's, also under VOCdevkit/VOCxxxx
    photos/annotations/*.xml, photos/images/*         as many tools name them
    photos/*.xml, photos/*.jpg                        side by side, as LabelImg writes them
    photos/train/*.xml, photos/train/*.jpg, ...       a folder a split, as Roboflow exports them

in any letter case.
"""

from pathlib import Path
from typing import NamedTuple

from keras_frcnn.data.split_names import SPLIT_NAMES
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files, folder_called, is_folder
from keras_frcnn.errors import InputError

IMAGE_FOLDERS = ("JPEGImages", "images")


class VocLayout(NamedTuple):
    """The folders of a data set in VOC format; several may be the same."""

    root: Path
    annotations: Path
    images: Path


def find_layout(folder: Path) -> VocLayout | None:
    """The folders of the data set in `folder`; None where it holds no VOC annotations.

    Raises:
        InputError: `folder` holds several data sets, or cannot be read.
    """
    for base in (folder, folder / "VOCdevkit"):
        if is_folder(annotations := folder_called(base, "Annotations")):
            return _beside(base, annotations)
        years = sorted(p for p in base.glob("VOC*") if is_folder(folder_called(p, "Annotations")))
        if len(years) > 1:
            choice = ", ".join(str(year) for year in years)
            raise InputError(f"{folder}: holds several data sets; give one of {choice}")
        if years:
            return _beside(years[0], folder_called(years[0], "Annotations"))
    images = Files(folder, IMAGE_SUFFIXES).paths
    if any(name in images for name in Files(folder, (".xml",)).paths):
        return VocLayout(folder, folder, folder)
    return None


def folder_splits(names: list[str]) -> dict[str, list[str]]:
    """The names of images by split, where all of them lie in folders called as splits are.

    Args:
        names: paths parted by `/`.

    Returns:
        nothing where one lies elsewhere.
    """
    splits: dict[str, list[str]] = {}
    for name in names:
        first = name.partition("/")[0]
        if first == name or first.lower() not in SPLIT_NAMES:
            return {}
        splits.setdefault(first, []).append(name)
    return splits


def _beside(base: Path, annotations: Path) -> VocLayout:
    """The layout of a data set whose annotations have a folder of their own."""
    images = folder_called(base, IMAGE_FOLDERS[0])
    for name in IMAGE_FOLDERS:
        if is_folder(named := folder_called(base, name)):
            images = named
            break
    else:  # together with the annotations, or above them
        for other, recursive in ((annotations, True), (base, False)):
            if Files(other, IMAGE_SUFFIXES, recursive).paths:
                images = other
                break
    return VocLayout(base, annotations, images)
