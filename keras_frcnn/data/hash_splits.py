"""Splits of a data set that has none: by a hash of the content of each image.

So the same photograph under two names is in one split, and an image that is added moves no other.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.source import Source
from keras_frcnn.data.split_names import known_as
from keras_frcnn.errors import InputError

NAMES = ("train", "val", "test")
FRACTIONS = (0.8, 0.1, 0.1)
_CHUNK = 1 << 20  # bytes


class HashSplits:
    """A `Source` with the splits train, val and test.

    Args:
        source: has no splits itself.
        fractions: of the images in each, on average.
    """

    def __init__(self, source: Source, fractions: Sequence[float] = FRACTIONS):
        self._source = source
        self.fractions = check_fractions(fractions)
        self.form = source.form
        self.root = source.root
        self.category_ids = source.category_ids
        self.splits = NAMES

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split, in the order of the data set; of all if it is None.

        Raises:
            InputError: there is no such split, or no image falls into it.
        """
        if split is None:
            return self._source.ids(None)
        split = known_as(split, NAMES)
        if split not in NAMES:
            raise InputError(
                f"{self.root}: {split}: there is no such split; it has no lists, so there are "
                f"{', '.join(NAMES)}"
            )
        if not (ids := self._ids[split]):
            count = sum(map(len, self._ids.values()))
            raise InputError(
                f"{self.root}: {split}: none of the {count} images falls into it; --fractions "
                "takes other parts than " + ",".join(f"{f:g}" for f in self.fractions)
            )
        return ids

    def class_names(self) -> tuple[str, ...]:
        """Those of all splits."""
        return self._source.class_names()

    def records(
        self, ids: Sequence[str], class_names: Sequence[str], with_masks: bool = True
    ) -> tuple[list[ImageRecord], list[str]]:
        """As the source has them."""
        return self._source.records(ids, class_names, with_masks)

    def image_files(self, ids: Sequence[str]) -> list[Path]:
        """As the source has them."""
        return self._source.image_files(ids)

    def described(self) -> str:
        """A line that says how the images were divided."""
        parts = "/".join(f"{100 * f:g}" for f in self.fractions)
        counts = ", ".join(f"{len(ids)} {name}" for name, ids in self._ids.items())
        return f"{self.root}: has no lists; divided {parts} by the content of the images: {counts}"

    @cached_property
    def _ids(self) -> dict[str, list[str]]:
        ids = self._source.ids(None)
        found: dict[str, list[str]] = {name: [] for name in NAMES}
        for image_id, file in zip(ids, self._source.image_files(ids), strict=True):
            found[split_of(_position(file), self.fractions)].append(image_id)
        return found


def split_of(position: float, fractions: Sequence[float]) -> str:
    """The split of an image at `position` in [0, 1)."""
    if position < fractions[0]:
        return "train"
    # Adding the first two could leave the last a sliver that it should not have.
    return "val" if position < 1 - fractions[2] else "test"


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """Three numbers of sum 1.

    Raises:
        InputError: they are not.
    """
    fractions = tuple(map(float, fractions))
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"fractions: train, val and test need three parts of 1 such as 0.8,0.1,0.1, not "
            f"{','.join(f'{f:g}' for f in fractions)}"
        )
    return fractions


def _position(file: Path) -> float:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return int.from_bytes(digest.digest()[:6]) / (1 << 48)  # below 1, exactly
