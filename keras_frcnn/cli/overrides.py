"""Settings in the words of the command line: `key=value` read, and differences printed."""

import dataclasses
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.settings import Settings, format_value

# Not settings of how to train, so they have options of their own.
_OPTIONS = {"data": "--data", "split": "--split", "class_names": "--classes", "recipe": "--recipe"}
KEYS = tuple(f.name for f in dataclasses.fields(Settings) if f.name not in _OPTIONS)

_BOOLEANS = {"true": True, "false": False}
_NEEDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tuple: "whole numbers separated by commas",
}


def parse_assignments(texts: Iterable[str]) -> dict:
    """The settings that texts such as `steps=4000` or `min_side=480,576` give.

    Values are read by the type of the setting: tuples are numbers separated by commas (none for
    an empty tuple), booleans are true and false, and `none` is None where that is allowed.

    Raises:
        InputError: a key is unknown (the nearest one is named) or given twice with different
            values, or a value is not of the key's type. What the values may be is checked by
            `Settings`.
    """
    values: dict = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--set {text}: must be written key=value, such as steps=4000")
        if key in _OPTIONS:
            raise InputError(f"--set {text}: {key} is given by {_OPTIONS[key]}")
        if key not in KEYS:
            raise InputError(
                f"--set: {did_you_mean(key, KEYS)}; the settings are {', '.join(KEYS)}"
            )
        merge(values, {key: _parse(key, value)})
    return values


def merge(values: dict, others: dict) -> None:
    """Add `others` to `values`.

    Raises:
        InputError: a setting is in both, with different values.
    """
    for key, value in others.items():
        if key in values and values[key] != value:
            raise InputError(
                f"{key} is given twice: {format_value(values[key])} and {format_value(value)}"
            )
        values[key] = value


def _parse(key: str, text: str):
    hint = get_type_hints(Settings)[key]
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if NoneType in kinds and text.lower() == "none":
        return None
    (kind,) = (k for k in kinds if k is not NoneType)
    kind = get_origin(kind) or kind
    try:
        if kind is tuple:
            return tuple(int(number) for number in text.split(",")) if text else ()
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"--set {key}={text}: {key} must be {_NEEDS[kind]}"
            + (" or none" if NoneType in kinds else "")
        ) from error
