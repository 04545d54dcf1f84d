"""Seals a compiled library with its digest, and tells whether one may be loaded.

A library is code that runs in this process. One is loaded only where nobody but this user and root
can have put it there, and where it is what the build has written.
"""

import hashlib
import os
import stat
from pathlib import Path

from keras_frcnn.files import replacing

WRITABLE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(RuntimeError):
    """A file or folder is not this user's alone; the message names it and says what to do."""


def check_folders(root: Path, folder: Path) -> None:
    """Check that nobody else can change `folder` or put another in its place.

    Args:
        root: the cache folder.
        folder: lies in it.

    Raises:
        UntrustedError: one of them belongs, or can be written by, someone else.
    """
    for path in (root, folder):
        try:
            _check_owner(path, path.lstat())
            _check_owner(path, path.stat(), writable=True)
        except UntrustedError as error:
            raise UntrustedError(
                f"{error}, who could put other code there; set KERAS_FRCNN_CACHE to a folder in"
                " which only you can write, or take that right from others (chmod go-w)"
            ) from error


def install(built: Path, library: Path) -> None:
    """Rename a library that was built to its place, beside its digest."""
    built.chmod(0o755)
    with replacing(_digest_file(library)) as partial:
        partial.write_text(_digest(built) + "\n")
        partial.chmod(0o644)
    os.replace(built, library)


def what_is_wrong(library: Path) -> str | None:
    """Why a library is not to be loaded; None where it is as it was sealed."""
    digest = _digest_file(library)
    try:
        for path in (library, digest):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return f"{path} is no regular file"
            _check_owner(path, status, writable=True)
        if digest.read_text().strip() != _digest(library):
            return f"{library} is damaged, it has another digest than {digest.name} says"
    except (OSError, UnicodeDecodeError) as error:
        return f"{library} or its digest cannot be read ({error})"
    except UntrustedError as error:
        return str(error)
    return None


def _check_owner(path: Path, status: os.stat_result, writable: bool = False) -> None:
    """That `path` is this user's or root's and, where asked, not writable for anyone else."""
    if os.name == "nt":  # whose folders are their user's by inherited lists
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise UntrustedError(f"{path} belongs to another user (number {status.st_uid})")
    if writable and status.st_mode & WRITABLE_FOR_OTHERS:
        raise UntrustedError(f"{path} can be written by other users")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest_file(library: Path) -> Path:
    return library.with_suffix(".sha256")
