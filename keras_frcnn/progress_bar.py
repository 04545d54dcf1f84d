"""The progress of work on many images: a bar on a terminal, a line now and then in a file or pipe.

`keras_frcnn.monitoring.progress` shows that of a training, whose steps have losses to tell.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

# A line after this many seconds, then at most one in each, and in a tenth of the work.
SECONDS = 30
SHARE = 1 / 10


def counted(
    items: Iterable[T], total: int, task: str, unit: str = "image", leave: bool = True
) -> Iterator[T]:
    """Yield the items and show how many of `total` are done; see `progress_bar`."""
    with progress_bar(total, task, unit, leave) as bar:
        for item in items:
            yield item
            bar.update()


@contextmanager
def progress_bar(total: int, task: str, unit: str = "image", leave: bool = True):
    """Show progress on standard error; `update()` of what this yields counts one more.

    Args:
        total: how many there are.
        task: what is done with them.
        unit: what one of them is.
        leave: whether the finished bar, or a last line, stays.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=task, unit=unit, leave=leave, dynamic_ncols=True) as bar:
            yield bar
    else:
        yield _Lines(total, task, unit, leave)


class _Lines:
    """At most a dozen lines, however many items there are and however long they take."""

    def __init__(self, total: int, task: str, unit: str, leave: bool):
        self._total, self._task, self._units, self._leave = total, task, f"{unit}s", leave
        self._done = 0
        self._begun = self._last = time.perf_counter()
        self._next = 0.0  # the first line waits for its time alone

    def update(self) -> None:
        """Count one more, and write a line if it is time."""
        self._done += 1
        now = time.perf_counter()
        seconds = now - self._begun
        if self._done == self._total:
            if self._leave:
                self._write(f"{self._total} {self._units} in {tqdm.format_interval(seconds)}")
        elif now - self._last >= SECONDS and self._done >= self._next:
            self._last = now
            self._next = self._done + SHARE * self._total
            left = tqdm.format_interval(seconds * (self._total / self._done - 1))
            speed = f"{self._done / seconds:.3g} {self._units}/s"
            self._write(f"{self._done} of {self._total} {self._units}, {speed}, {left} left")

    def _write(self, text: str) -> None:
        print(f"{self._task}: {text}", file=sys.stderr, flush=True)
