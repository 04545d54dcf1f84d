"""Tries of a part one after the other: held or lost, each repeatable by its number.

A part prepares itself in a folder and gives a function, called once a try with a random generator.
A try is held when it returns: the right result came, or a refusal that names the file, and nothing
was damaged. What it raises says what was lost.
"""

import itertools
import multiprocessing.connection
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frcnn.cli.__main__ import MAX_MESSAGE
from keras_frcnn.errors import InputError
from tests.runner import CONTEXT

HANG = 60.0  # seconds, after which nothing comes any more
PREPARATION = 600.0

Attempt = Callable[[np.random.Generator], str | None]  # returns a note, if there is one


class Lost(AssertionError):
    """A wrong result, a damaged file, a message that does not help."""


@dataclass(frozen=True)
class Part:
    """A kind of fault, and how many tries are few."""

    prepare: Callable[[Path], Attempt]
    few: int
    patience: float = HANG  # seconds for a try
    is_isolated: bool = True  # False: it starts processes of its own


@dataclass(frozen=True)
class Outcome:
    """What became of a try."""

    number: int
    seconds: float
    lost: str | None = None  # what went wrong
    note: str | None = None


@contextmanager
def refusal_names(*names: str | Path) -> Iterator[None]:
    """In the block a refusal may come, if what the command line shows of it has one of `names`."""
    try:
        yield
    except (InputError, OSError) as error:
        shown = str(error)[:MAX_MESSAGE]
        if not any(str(name) in shown for name in names):
            raise Lost(f"the message names no file: {shown}") from error


def tries(attempt: Attempt, seed: int, first: int = 0) -> Iterator[Outcome]:
    """Try after try from number `first` on, in this process and without end."""
    for number in itertools.count(first):
        rng = np.random.default_rng([seed, number])
        start, lost, note = time.monotonic(), None, None
        try:
            note = attempt(rng)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            lost = f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:300]}"
        yield Outcome(number, time.monotonic() - start, lost, note)


def isolated(name: str, part: Part, seed: int, first: int, count: int, seconds: float):
    """Yields the outcomes of tries in a process of their own, which may crash or hang.

    Args:
        name: of the part in `tests.faults.parts.PARTS`.
        count: tries at most.
        seconds: after which no more begins.
    """
    if not part.is_isolated:
        yield from _here(part, seed, first, count, seconds)
        return
    end = time.monotonic() + PREPARATION
    is_begun = False
    number, last = first, first + count
    while number < last and time.monotonic() < end:
        outcomes, child_end = CONTEXT.Pipe(duplex=False)
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        process = CONTEXT.Process(target=_try, args=(child_end, name, folder, seed, number, last))
        process.start()
        child_end.close()
        try:
            if not outcomes.poll(PREPARATION):
                raise RuntimeError(f"{name}: not prepared within {PREPARATION:g} seconds")
            outcomes.recv()  # it is prepared
            if not is_begun:
                end, is_begun = time.monotonic() + seconds, True
            while number < last and time.monotonic() < end:
                if not outcomes.poll(part.patience):
                    yield Outcome(number, part.patience, "hangs")
                    number += 1
                    break
                yield outcomes.recv()
                number += 1
        except EOFError:
            process.join()
            yield Outcome(number, 0.0, f"the process died with status {process.exitcode}")
            number += 1
        finally:
            process.kill()
            process.join()
            shutil.rmtree(folder, ignore_errors=True)


def _here(part, seed, first, count, seconds):
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            attempt = part.prepare(Path(folder))
        except Exception as error:
            yield Outcome(first, 0.0, f"cannot be prepared: {error!r}"[:500])
            return
        end = time.monotonic() + seconds
        outcomes = tries(attempt, seed, first)
        for outcome in itertools.islice(outcomes, count):
            yield outcome
            if time.monotonic() > end:
                return


def _try(connection: multiprocessing.connection.Connection, name, folder, seed, first, last):
    from tests.faults.parts import PARTS

    for stream in (1, 2):  # what the commands have to say is not what the table is about
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    attempt = PARTS[name].prepare(folder)
    connection.send("prepared")
    for outcome in itertools.islice(tries(attempt, seed, first), last - first):
        connection.send(outcome)
