"""A word on standard error where this process waits long: for a lock, or a disk that hangs."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FIRST = 10.0  # seconds after which something is said
EVERY = 60.0  # and then again


@contextmanager
def telling_of_waits(what: str) -> Iterator[None]:
    """Say that `what` takes long, while the block does; another thread speaks.

    Args:
        what: what is waited for, and its file: "locking /home/me/.lock".
    """
    done = threading.Event()

    def tell() -> None:
        waited, pause = 0.0, FIRST
        while not done.wait(pause):
            waited, pause = waited + pause, EVERY
            print(f"{what} takes long ({waited:.0f} seconds so far)", file=sys.stderr, flush=True)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()
