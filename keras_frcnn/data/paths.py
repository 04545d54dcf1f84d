"""Where an image lies that an annotation file names."""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from keras_frcnn.data.voc_files import is_folder
from keras_frcnn.errors import InputError, shown


def inside(text: str, where: str) -> str:
    """A relative path as tools write it, parted by `/`.

    Raises:
        InputError: it leads out of the data set's folder.
    """
    path = posixpath.normpath(text.replace("\\", "/"))
    if path.startswith(("/", "../")) or path in ("..", ".") or path[1:2] == ":" or "\0" in path:
        raise InputError(
            f"{where}: {shown(text)} leads out of the data set's folder; name the image in it"
        )
    return path


def find_image(name: str, folders: Sequence[Path]) -> Path:
    """The image `name`, a path parted by `/`, in the first of `folders` that has it.

    Tools also write the path that the image had elsewhere: then its last part is looked for. Of an
    image that is nowhere, the path in the first folder.
    """
    last = name.rpartition("/")[2]
    for text in dict.fromkeys((name, last)):
        for folder in folders:
            if os.path.isfile(folder / text):  # names too long are none
                return folder / text
    return folders[0] / name


def existing(folders: Sequence[Path]) -> list[Path]:
    """Those that are there, in order, each once; the first of all where none is."""
    found = [folder for folder in dict.fromkeys(folders) if is_folder(folder)]
    return found or [folders[0]]
