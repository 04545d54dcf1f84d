"""Writing files whole or not at all, and where the project keeps what it can make again."""

import json
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


def write_json(path: Path, content) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def cache_dir() -> Path:
    """The cache folder: `$KERAS_FRCNN_CACHE`, else `keras-frcnn` in the user's cache folder."""
    if override := os.environ.get("KERAS_FRCNN_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras-frcnn"
