"""How long the stages of work on many images take."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds of each stage of each image, by `time.perf_counter`."""

    def __init__(self):
        self._images: list[dict[str, float]] = []
        self._now: dict[str, float] = {}

    def begin(self) -> None:
        """An image begins; what was told of one that did not end is forgotten."""
        self._now = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The block is a stage of the image."""
        begun = time.perf_counter()
        yield
        self._now[name] = self._now.get(name, 0.0) + time.perf_counter() - begun

    def end(self) -> None:
        """The image is finished."""
        self._images.append(self._now)

    def medians(self) -> dict[str, float]:
        """Seconds of each stage, without the first image, for which functions are traced."""
        images = self._images[1:] or self._images
        names = self._images[0] if self._images else ()
        return {name: statistics.median(image.get(name, 0.0) for image in images) for name in names}

    def report(self) -> str:
        """The medians as lines of text."""
        if not self._images:
            return "no image was finished"
        first, *others = self._images
        count, total = len(self._images), sum(sum(image.values()) for image in self._images)
        lines = [f"{count} image{'s' * (count > 1)} in {total:.1f} s"]
        if others:
            lines[0] += f", the first in {sum(first.values()):.1f} s; of the others the median:"
        for name, seconds in self.medians().items():
            lines.append(f"  {name:<12} {1000 * seconds:8.1f} ms")
        return "\n".join(lines)
