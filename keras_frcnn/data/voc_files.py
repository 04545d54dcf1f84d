"""The files of a folder by their names: which image, annotation or list a name means.

A name is the path of a file relative to its folder, parted by `/`, without its suffix. Names that
are not UTF-8 are Python's, with surrogates for the bytes that are none.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from keras_frcnn.errors import InputError

# Those after PNG cannot be trained on, but are found, so that they can be refused by name.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".jpe", ".jfif")
IMAGE_SUFFIXES += (".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".avif", ".heic")

# What systems put beside the user's files; names that begin with a dot are hidden as it is.
_SYSTEM_FILES = (".ds_store", "thumbs.db", "desktop.ini")
_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


class Files:
    """The files of a folder and its sub-folders that have one of some suffixes, in any case.

    Hidden files, those of operating systems and everything that is no regular file are left out;
    links count as what they lead to, those that lead nowhere as files.

    Args:
        folder: need not exist.
        suffixes: in lower case, such as ".xml"; of files that differ in their suffix alone, the
            one whose suffix comes first counts as the first.

    Raises:
        InputError: the folder or one of its sub-folders cannot be read.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str], recursive: bool = True):
        self.folder = folder
        self.paths: dict[str, list[str]] = {}  # name -> relative paths, of all suffixes
        for path in _walk(folder, "", recursive, set()):
            name, suffix = os.path.splitext(path)
            if suffix.lower() in suffixes:
                self.paths.setdefault(name, []).append(path)
        for paths in self.paths.values():
            if len(paths) > 1:
                paths.sort(
                    key=lambda p: (suffixes.index(os.path.splitext(p)[1].lower()), p.swapcase())
                )

    def like(self, name: str) -> list[str]:
        """The names that are this one in other case, Unicode form or encoding."""
        return self._alike.get(_loose(name), [])

    def called(self, name: str) -> list[str]:
        """The names that end as this one does, or as which it ends: the same in other folders."""
        loose = f"/{_loose(name)}"
        found = []
        for other in self._by_last_part.get(loose.rpartition("/")[2], ()):
            path = f"/{_loose(other)}"
            if loose.endswith(path) or path.endswith(loose):
                found.append(other)
        return found

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        return _grouped(self.paths, lambda name: name)

    @cached_property
    def _by_last_part(self) -> dict[str, list[str]]:
        return _grouped(self.paths, lambda name: name.rpartition("/")[2])


def is_folder(path: str | os.PathLike) -> bool:
    """Whether there is a folder of this name, however strange the name.

    Raises:
        InputError: the folder above may not be looked into.
    """
    try:
        return Path(path).is_dir()
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (OSError, ValueError):  # too long, or with a null character
        return False


def folder_called(parent: Path, name: str) -> Path:
    """The folder `name` in `parent`, in other case where that is the only one.

    Raises:
        InputError: `parent` cannot be read.
    """
    if is_folder(parent / name) or not is_folder(parent):
        return parent / name
    others = [entry.name for entry in _entries(parent) if entry.name.lower() == name.lower()]
    others = [other for other in others if is_folder(parent / other)]
    return parent / (others[0] if len(others) == 1 else name)


def is_system_file(file_name: str) -> bool:
    """Whether Finder or Explorer made the file: `._x.jpg`, `.DS_Store` and the like."""
    return file_name.startswith("._") or file_name.lower() in _SYSTEM_FILES


def _walk(folder: Path, prefix: str, recursive: bool, above: set) -> Iterator[str]:
    """Paths of files relative to where the walk began, parted by `/`."""
    entries = _entries(folder)
    if entries:
        status = os.stat(folder)
        above = above | {(status.st_dev, status.st_ino)}
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _SYSTEM_FOLDERS:
            continue
        try:
            is_file = entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
        except OSError:  # a link to itself or to where one may not look: named where it is opened
            is_file = True
        if is_file:
            yield prefix + entry.name
        elif recursive and entry.is_dir():
            status = os.stat(entry.path)
            if (status.st_dev, status.st_ino) not in above:  # a link to a folder above
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", recursive, above)


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _grouped(names, key) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[_loose(key(name))].append(name)
    return groups


def _loose(name: str) -> str:
    """The same for names that differ by case, Unicode form, or Latin-1 against UTF-8."""
    if not name.isascii():
        content = os.fsencode(name)
        try:
            name = content.decode("utf-8")
        except UnicodeDecodeError:
            name = content.decode("latin-1")
        name = unicodedata.normalize("NFC", name)
    return name.casefold()
