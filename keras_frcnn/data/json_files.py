"""JSON files of annotation tools, which are told apart by their content."""

import json
import os
from pathlib import Path
from typing import Any

from keras_frcnn.errors import InputError


def load_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: it cannot be read or is no JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON ({error})") from error


def load_object(path: Path) -> dict:
    """The object that a JSON file holds.

    Raises:
        InputError: it cannot be read, is no JSON or holds something else.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object")
    return content


def has_words(path: Path, *words: bytes) -> bool:
    """Whether all words stand in the file; what they mean, reading it shows.

    Raises:
        InputError: it cannot be read.
    """
    content = read_bytes(path)
    return all(word in content for word in words)


def read_bytes(path: str | os.PathLike) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
