"""Packages that are not installed with this one, since few need them."""

import importlib
from types import ModuleType

from keras_frcnn.errors import InputError


def of_extra(name: str, extra: str) -> ModuleType:
    """The module `name` of an optional extra of this package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; pip install 'keras-frcnn[{extra}]'"
        ) from error
