"""JSON files of annotation tools, which are told apart by their content."""

import json
from pathlib import Path

from keras_frcnn.errors import InputError


def load_object(path: Path) -> dict:
    """The object that a JSON file holds.

    Raises:
        InputError: it cannot be read, is no JSON or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object")
    return content


def has_words(path: Path, *words: bytes) -> bool:
    """Whether all words stand in the file; what they mean, reading it shows.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return all(word in content for word in words)
