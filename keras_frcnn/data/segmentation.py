"""What annotations say of an object's mask, and its run lengths in an image.

It is looked at when a mask is wanted: detectors without masks take the boxes of a data set whose
masks are broken.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from keras_frcnn import run_length
from keras_frcnn.errors import InputError, cut, shown


class Segmentation(Protocol):
    """A mask as a file has it."""

    def counts(self, where: str, height: int, width: int) -> bytes:
        """The run lengths in an image of this size; what is outside is cut.

        Args:
            where: the file and the object, for messages.
            height, width: of the upright image.

        Raises:
            InputError: it is none, or of an image of another size.
        """


class Polygons(NamedTuple):
    """Outlines, of which the union is meant; x1, y1, x2, y2, ... in continuous pixels."""

    outlines: Sequence[Sequence[float]]

    def counts(self, where: str, height: int, width: int) -> bytes:
        """As `Segmentation.counts`."""
        for outline in self.outlines:
            if not isinstance(outline, Sequence) or not all(map(_is_coordinate, outline)):
                raise InputError(
                    f"{where}: its polygon is {cut(shown(outline))}, not a list of coordinates "
                    "[x1, y1, x2, y2, ...]"
                )
            if len(outline) < 6 or len(outline) % 2:
                raise InputError(
                    f"{where}: a polygon has {len(outline)} numbers; it needs x and y of three "
                    "corners at least"
                )
        return run_length.from_polygons(self.outlines, height, width)


class RunLengths(NamedTuple):
    """Run lengths of an image [height, width], column by column: numbers, or COCO's text."""

    size: object  # [height, width], as in the file
    lengths: object

    def counts(self, where: str, height: int, width: int) -> bytes:
        """As `Segmentation.counts`."""
        size = self.size
        if not isinstance(size, Sequence) or len(size) != 2 or not all(map(_is_count, size)):
            raise InputError(f"{where}: its mask's size is {cut(shown(size))}, not [height, width]")
        if list(size) != [height, width]:
            raise InputError(
                f"{where}: its mask has {size[1]} x {size[0]} pixels, the image {width} x {height}"
            )
        try:
            if isinstance(self.lengths, str | bytes):
                text = self.lengths
                text = text.encode("ascii") if isinstance(text, str) else text
                run_length.check(text, height, width)
                return text
            if isinstance(self.lengths, Sequence) and all(map(_is_count, self.lengths)):
                return run_length.from_runs(self.lengths, height, width)
        except ValueError as error:  # a UnicodeEncodeError is one
            raise InputError(f"{where}: its mask is broken ({error})") from error
        raise InputError(f"{where}: its mask's counts are neither a text nor a list of numbers")


class Drawn(NamedTuple):
    """A mask that is run lengths already, of an image [height, width]."""

    text: bytes
    height: int
    width: int

    def counts(self, where: str, height: int, width: int) -> bytes:
        """As `Segmentation.counts`."""
        return RunLengths([self.height, self.width], self.text).counts(where, height, width)


class Pasted(NamedTuple):
    """A bitmap [h, w] whose first pixel lies at (x, y) of the image; what is outside is cut."""

    bitmap: np.ndarray
    x: int
    y: int

    def counts(self, where: str, height: int, width: int) -> bytes:
        """As `Segmentation.counts`."""
        whole = np.zeros((height, width), np.uint8)
        rows = slice(max(self.y, 0), max(min(self.y + self.bitmap.shape[0], height), 0))
        columns = slice(max(self.x, 0), max(min(self.x + self.bitmap.shape[1], width), 0))
        inside = self.bitmap[
            rows.start - self.y : rows.stop - self.y, columns.start - self.x : columns.stop - self.x
        ]
        if inside.size:
            whole[rows, columns] = inside
        return run_length.from_bitmap(whole)


class Union(NamedTuple):
    """Several masks of one object."""

    parts: Sequence[Segmentation]

    def counts(self, where: str, height: int, width: int) -> bytes:
        """As `Segmentation.counts`."""
        drawn = [part.counts(where, height, width) for part in self.parts]
        return run_length.merge(drawn, height, width)


class Unknown(NamedTuple):
    """Something else than a mask."""

    value: object

    def counts(self, where: str, height: int, width: int) -> bytes:
        """Refuse it."""
        raise InputError(
            f"{where}: its segmentation is {cut(shown(self.value))}, neither polygons nor run "
            "lengths"
        )


def of_coco(value) -> Segmentation | None:
    """The field `segmentation` of COCO's annotations; None where it says nothing."""
    if value is None or value == []:
        return None
    if isinstance(value, list):
        return Polygons(value) if all(isinstance(v, list) for v in value) else Unknown(value)
    if isinstance(value, dict) and value.keys() >= {"size", "counts"}:
        return RunLengths(value["size"], value["counts"])
    return Unknown(value)


def _is_coordinate(value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Neither infinite nor none; drawing takes memory by length, of 2^24 pixels gigabytes.
    return is_number and abs(value) < 1 << 20


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31
