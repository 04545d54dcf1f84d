"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_frcnn.errors import InputError


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises `InputError` where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to the path this yields; it takes the place of `path` when the block has succeeded.

    It has the suffix of `path` and lies beside it. When the block fails or is interrupted it is
    removed and `path` is left as it was. A disk that cannot be written is an `InputError`.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
