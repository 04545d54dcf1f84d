"""One training at a time in a run directory."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from keras_frcnn.errors import InputError


@contextlib.contextmanager
def only_training(run: Path) -> Iterator[None]:
    """Keep other processes from training in the run directory `run`, which exists.

    The system frees a lock when its process ends, however it ends, so none is left behind by one
    that was killed; the empty file RUN/.lock stays.

    Raises:
        InputError: another process trains in it, or the lock cannot be had there.
    """
    try:
        file = (run / ".lock").open("w")
    except OSError as error:
        raise InputError(f"cannot write {run / '.lock'}: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{run}: another process is training in it; let it end, or give another --out"
            ) from error
        except OSError as error:
            raise InputError(f"{run}: its file system has no locks: {error}") from error
        yield
