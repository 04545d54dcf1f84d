"""Which image files a user means: files, folders and patterns."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from keras_frcnn.cli.drawings import is_drawing
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files, is_folder
from keras_frcnn.errors import InputError, shown


def image_files(names: Sequence[str]) -> list[str]:
    """The files that are meant, each once, in the order of the names.

    Args:
        names: a file, which need not be an image; a folder, of which all images are taken, those
            of its sub-folders too; or a pattern such as `photos/*.jpg` or `photos/**/a*`, which a
            shell has not spelled out. Of folders and patterns, pictures that an earlier run has
            drawn are left out.

    Raises:
        InputError: a folder holds no image, or a pattern means none.
    """
    found: dict[str, None] = {}
    for name in names:
        if is_folder(name):
            images = Files(Path(name), IMAGE_SUFFIXES).paths.values()
            files = [os.path.join(name, path) for path in sorted(p for ps in images for p in ps)]
            files = [file for file in files if not is_drawing(Path(file))]
            if not files:
                raise InputError(f"{name}: the folder holds no images")
        elif not os.path.lexists(name) and glob.has_magic(name):
            files = sorted(path for path in glob.glob(name, recursive=True) if _is_image(path))
            files = [file for file in files if not is_drawing(Path(file))]
            if not files:
                raise InputError(f"{shown(name)}: no image file is called so")
        else:
            files = [name]
        found.update(dict.fromkeys(files))
    return list(found)


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES and os.path.isfile(path)
