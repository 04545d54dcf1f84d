"""One training at a time in a run directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from keras_frcnn.errors import InputError
from keras_frcnn.files import locked


@contextlib.contextmanager
def only_training(run: Path) -> Iterator[None]:
    """Keep other processes from training in the run directory `run`, which exists.

    The lock is freed when its process ends, however it ends (`keras_frcnn.files.locked`).

    Raises:
        InputError: another process trains in it, or the lock cannot be had there.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(run / ".lock", wait=False))
        except filelock.Timeout as error:
            raise InputError(
                f"{run}: another process is training in it; let it end, or give another --out"
            ) from error
        yield
