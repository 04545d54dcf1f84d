"""The numbered folders in which a model server finds the versions of a model.

A server watches `models/detector/` and loads what is in `models/detector/<version>/`, so a version
must appear there whole, in one step. Folders whose names are not numbers are passed over.
(`keras_frcnn.files.replacing` is for files: a folder takes the place of no other.)
"""

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder

# <linux/fs.h> and <fcntl.h>
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def next_version(models: Path) -> int:
    """One more than the highest version in the folder `models`; 1 where there is none."""
    names = [path.name for path in models.iterdir()] if models.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0) + 1


@contextlib.contextmanager
def new_version(models: Path, version: int, overwrite: bool = False) -> Iterator[Path]:
    """Fill the folder this yields; it becomes `models/<version>/` when the block has succeeded.

    Args:
        models: made where it does not exist.
        version: a positive number.
        overwrite: take the place of a version that exists. The two are exchanged in one step, so
            that at no time the version is missing. A server that has loaded the old one does not
            notice; only a new version number makes it load anew.

    Raises:
        InputError: the version exists and `overwrite` is not set, `models` cannot be written, or
            its file system cannot exchange folders.
    """
    target = models / str(version)
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists: export to another version or overwrite it")
    make_folder(models)
    try:
        partial = Path(tempfile.mkdtemp(prefix=".export-", dir=models))
    except OSError as error:
        raise InputError(f"cannot write to {models}: {error}") from error
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp lets only the owner in, and the server may be someone else
        try:
            if target.exists() and overwrite:
                _exchange(partial, target)
            else:
                partial.rename(target)
        except OSError as error:
            raise InputError(f"cannot write {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(
            partial, ignore_errors=True
        )  # what is there now: a failure or the old version


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
