"""What ends a command: an input at fault, a signal, another process that is gone."""

import difflib
import signal
from collections.abc import Iterable

MAX_SHOWN = 100  # characters of a value in a message


class InputError(ValueError):
    """A file, argument or object given by the user cannot be used.

    The message names the file or argument and says what to do; the command line prints it
    without a traceback.
    """


def shown(value) -> str:
    """A value in a message: as Python writes it, cut where it is long."""
    return cut(repr(value))


def cut(text: str) -> str:
    """A name in a message, cut where it is long."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For messages about a name that does not exist: "'x' is unknown, the nearest is 'y'"."""
    known = list(known)
    beginning = [k for k in known if name and k.startswith(name)]
    close = beginning or difflib.get_close_matches(name[:MAX_SHOWN], known, n=1, cutoff=0.0)
    return f"{shown(name)} is unknown" + (f", the nearest is {close[0]!r}" if close else "")


class Interrupted(KeyboardInterrupt):
    """A training was ended by a signal, after it had saved its state.

    Args:
        number: SIGINT or SIGTERM.
        message: says what was saved and how to go on.
    """

    def __init__(self, number: signal.Signals, message: str):
        super().__init__(message)
        self.number = number


class WorkersLost(RuntimeError):
    """Another process of a training on several machines is gone; all must be started again."""

    STATUS = 75  # EX_TEMPFAIL, "try again": launchers can tell it from errors of the input
