"""The one exception that means "the input is at fault, not the program"."""

import difflib
import signal
from collections.abc import Iterable


class InputError(ValueError):
    """A file, argument or object given by the user cannot be used.

    The message names the file or argument and says what to do; the command line prints it
    without a traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For messages about a name that does not exist: "'x' is unknown, the nearest is 'y'"."""
    known = list(known)
    beginning = [k for k in known if name and k.startswith(name)]
    close = beginning or difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"{name!r} is unknown" + (f", the nearest is {close[0]!r}" if close else "")


class Interrupted(KeyboardInterrupt):
    """A training was ended by a signal, after it had saved its state.

    Args:
        number: SIGINT or SIGTERM.
        message: says what was saved and how to go on.
    """

    def __init__(self, number: signal.Signals, message: str):
        super().__init__(message)
        self.number = number
