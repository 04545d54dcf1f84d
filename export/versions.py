"""The numbered folders in which a model server finds the versions of a model.

A server watches `models/detector/` and loads what is in `models/detector/<version>/`, so a version
must appear there whole, in one step. Folders whose names are not numbers are passed over.
(`keras_frcnn.files.replacing` is for files: a folder takes the place of no other.)
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, private_folder
from keras_frcnn.remote import names_in

# <linux/fs.h> and <fcntl.h>
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def next_version(models: Path) -> int:
    """One more than the highest version in the folder `models`; 1 where there is none."""
    return _next([path.name for path in models.iterdir()] if models.is_dir() else [])


def remote_version(url: str, version: int | None, overwrite: bool) -> int:
    """The version to write in the folder at a URL; the next one there by default.

    Raises:
        InputError: it is there already: files behind a URL cannot be exchanged in one step.
    """
    names = names_in(url)
    if overwrite:
        raise InputError(f"overwrite: not at a URL ({url}); export to a new version")
    if version is not None and str(version) in names:
        raise InputError(f"{url}/{version} exists: export to another version")
    return _next(names) if version is None else version


def _next(names: list[str]) -> int:
    return max((int(name) for name in names if name.isdecimal()), default=0) + 1


def check_version(models: Path, version: int | None, overwrite: bool) -> None:
    """Raise `InputError` if the version exists and is not to be overwritten."""
    if version is not None and (models / str(version)).exists() and not overwrite:
        target = models / str(version)
        raise InputError(f"{target} exists: export to another version or overwrite it")


@contextlib.contextmanager
def unpublished(models: Path) -> Iterator[Path]:
    """A new folder in `models` to write a version in; without `publish` nothing is left of it.

    Args:
        models: made where it does not exist.

    Raises:
        InputError: it cannot be written.
    """
    make_folder(models)
    with private_folder(models, ".export-") as folder:
        yield folder


def publish(folder: Path, version: int | None = None, overwrite: bool = False) -> Path:
    """Let a folder of `unpublished` appear as a version beside it, in one step.

    Args:
        folder: filled; afterwards what is there is the version that was overwritten, if any.
        version: a positive number; by default the next one that is free at this moment, whatever
            other processes export meanwhile.
        overwrite: take the place of a version that exists. The two are exchanged in one step, so
            that at no time the version is missing. A server that has loaded the old one does not
            notice; only a new version number makes it load anew.

    Returns:
        The version's folder.

    Raises:
        InputError: the version exists and `overwrite` is not set, it cannot be written, or its file
            system cannot exchange folders.
    """
    models = folder.parent
    check_version(models, version, overwrite)
    folder.chmod(0o755)  # private folders let only the owner in, the server may be someone else
    while True:
        target = models / str(next_version(models) if version is None else version)
        try:
            if overwrite and target.exists():
                _exchange(folder, target)
            else:
                folder.rename(target)
            return target
        except OSError as error:
            taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY)
            if not (taken and version is None):
                raise InputError(f"cannot write {target}: {error.strerror}") from error


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change names in one step (Linux: renameat2)."""
    # Windows has no library without a name to look in.
    system = None if os.name == "nt" else ctypes.CDLL(None, use_errno=True)
    rename = getattr(system, "renameat2", None)
    if rename is None:
        raise OSError(0, "this system cannot exchange two folders; export to a new version")
    paths = _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other)
    if rename(*paths, _RENAME_EXCHANGE):
        error = ctypes.get_errno()
        raise OSError(error, f"{os.strerror(error)}; export to a new version instead")
