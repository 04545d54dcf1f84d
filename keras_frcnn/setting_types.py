"""What is known of each field of `Settings` beside its type, and how values are read and checked.

Texts of the command line, JSON and Python values of a user all become values of the field's type.
"""

import contextlib
import math
import numbers
import os
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from keras_frcnn.errors import InputError, did_you_mean, shown


@dataclass(frozen=True)
class Range:
    """Numbers from `low` on, or above it, and below `high`; finite."""

    low: float
    is_open: bool = False  # whether `low` itself is outside
    high: float = math.inf
    has_high: bool = False  # whether `high` itself is inside

    def __contains__(self, value: float) -> bool:
        is_above = self.low < value if self.is_open else self.low <= value
        return is_above and (value <= self.high if self.has_high else value < self.high)

    def __str__(self) -> str:
        if self.high < math.inf:
            low = f"above {self.low:g}" if self.is_open else f"from {self.low:g}"
            return f"{low} to {'' if self.has_high else 'below '}{self.high:g}"
        return "positive and finite" if self.is_open else f"at least {self.low:g} and finite"


POSITIVE, NOT_NEGATIVE, BELOW_1 = Range(0, is_open=True), Range(0), Range(0, high=1)
UP_TO_1 = Range(0, is_open=True, high=1, has_high=True)
FRACTION = Range(0, high=1, has_high=True)


def setting(
    default,
    help: str,
    values: Range | tuple[str, ...] | None = None,
    option: str | None = None,
    shown: str | None = None,
    kw_only: bool = False,
) -> Any:
    """A field and what is known of it.

    Args:
        default: its value where nothing is said.
        help: what it is, for the command line and the docs.
        values: what it, or each of its numbers, may be; None where code below checks more.
        option: of the command line; by its name where none is given.
        shown: how the default is described, where its value does not tell.
        kw_only: whether it must be named, so that it shifts no other field's place.
    """
    about = {"help": help, "values": values, "option": option, "shown": shown}
    return field(default=default, metadata=about, kw_only=kw_only)


_BOOLEANS = {"true": True, "false": False}
_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    (tuple, int): "whole numbers",
    (tuple, float): "numbers",
    (tuple, str): "texts",
}


def parse(hint, text: str):
    """The value of a type that a text stands for: numbers between commas, true, false, none.

    Raises:
        ValueError: it is none of that type; the message says what that is.
    """
    kind, item, is_optional = _kind(hint)
    text = text.strip()
    if is_optional and text.lower() == "none":
        return None
    try:
        if kind is tuple:
            return tuple(item(part) for part in text.split(",")) if text else ()
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        commas = " separated by commas" if kind is tuple else ""
        raise ValueError(f"must be {_needed(hint)}{commas}, not {shown(text)}") from None


def format_value(value) -> str:
    """A value as `parse` reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def typed(key: str, hint, value):
    """The value in a setting's own type: JSON has lists for tuples, users have paths and NumPy.

    Raises:
        InputError: it is of another type.
    """
    kind, item, is_optional = _kind(hint)
    if value is None and is_optional:
        return None
    with contextlib.suppress(OverflowError):  # a whole number too large for a float
        if kind is tuple and isinstance(value, (list, tuple)):
            if all(_fits(item, v) for v in value):
                return tuple(item(v) for v in value)
        elif kind is str and isinstance(value, os.PathLike):
            return os.fspath(value)
        elif kind is not tuple and _fits(kind, value):
            return kind(value)
    raise InputError(f"{key}: must be {_needed(hint)}, not {shown(value)}")


def check_values(key: str, value, allowed: Range | tuple[str, ...] | None) -> None:
    """Refuse a number, or one of several, or a text that is not allowed."""
    if allowed is None or value is None:
        return
    if isinstance(allowed, Range):
        for number in value if isinstance(value, tuple) else (value,):
            if number not in allowed:
                raise InputError(f"{key}: must be {allowed}, not {format_value(value)}")
    elif value not in allowed:
        raise InputError(f"{key}: {did_you_mean(value, allowed)}; choose from {', '.join(allowed)}")


def _kind(hint):
    """Type, type of the items where that is a tuple, and whether it may be None."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    (hint,) = (k for k in kinds if k is not NoneType)
    item = get_args(hint)[0] if get_origin(hint) is tuple else None
    return get_origin(hint) or hint, item, NoneType in kinds


def _needed(hint) -> str:
    kind, item, is_optional = _kind(hint)
    return _KINDS[(kind, item) if item else kind] + (" or none" if is_optional else "")


def _fits(kind: type, value) -> bool:
    if kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)
