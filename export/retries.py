"""Asking a server again when it was not to be reached, and what it says when it refuses."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from keras_frcnn.errors import InputError

Answer = TypeVar("Answer")

FIRST_DELAY = 0.5  # seconds; doubled with every attempt


class Unavailable(Exception):
    """The server cannot be reached or is too busy; the same request may succeed later."""


def with_retries(ask: Callable[[], Answer], retries: int) -> Answer:
    """What `ask()` returns; after each `Unavailable` it is called again, `retries` times at most.

    The delays grow from half a second, each time to twice as much, less a random part, so that
    the clients of a server that comes back do not all ask in the same moment.

    Raises:
        InputError: the last attempt was `Unavailable` as well.
    """
    for attempt in range(retries + 1):
        try:
            return ask()
        except Unavailable as error:
            if attempt == retries:
                times = f" (asked {attempt + 1} times)" if attempt else ""
                raise InputError(f"{error}{times}") from error
            time.sleep(FIRST_DELAY * 2**attempt * random.uniform(0.5, 1))


def reason(message: str) -> str:
    """A server's message in a line, as far as it is meant for people.

    `inputs.py` writes it into an assertion of the graph; below it stand names of nodes.
    """
    line = (message.strip().splitlines() or ["no reason given"])[0]
    start, end = "assertion failed: [", "]"
    is_assertion = line.startswith(start) and line.endswith(end)
    return line[len(start) : -len(end)] if is_assertion else line
