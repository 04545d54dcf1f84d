"""Asking a server again when it was not to be reached, and what it says when it refuses."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from keras_frcnn.errors import InputError

Answer = TypeVar("Answer")

FIRST_DELAY = 0.5  # seconds; doubled with every attempt
LONGEST_DELAY = 64.0

MAX_ANSWER = 32 << 20  # bytes; 100,000 detections take 18 MB as TensorFlow Serving prints them
MAX_REASON = 500  # characters


class Unavailable(Exception):
    """The server cannot be reached or is too busy; the same request may succeed later."""


def with_retries(ask: Callable[[], Answer], retries: int) -> Answer:
    """What `ask()` returns; after each `Unavailable` it is called again, `retries` times at most.

    The delays grow from half a second, each time to twice as much, up to a minute, less a random
    part, so that the clients of a server that comes back do not all ask in the same moment.

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
            delay = min(FIRST_DELAY * 2.0 ** min(attempt, 16), LONGEST_DELAY)
            time.sleep(delay * random.uniform(0.5, 1))


def reason(message: str) -> str:
    """A server's message in a line, as far as it is meant for people.

    `inputs.py` writes it into an assertion of the graph; below it stand names of nodes.
    """
    line = (message.strip().splitlines() or ["no reason given"])[0]
    line = "".join(c if c.isprintable() else " " for c in line)
    start, end = "assertion failed: [", "]"
    is_assertion = line.startswith(start) and line.endswith(end)
    line = line[len(start) : -len(end)] if is_assertion else line
    return line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}..."
