"""What every form of a data set offers, whatever its files look like."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from keras_frcnn.data.dataset import ImageRecord


class Source(Protocol):
    """A data set on disk. Its images are known by ids, texts that are unique in it."""

    form: str  # as messages call it, such as "Pascal VOC"
    root: Path
    category_ids: Mapping[str, int]  # of the classes in COCO's files; of other forms none

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits; none where nothing says which image belongs to which."""

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split in its order; of the whole data set if `split` is None.

        Raises:
            InputError: there is no such split, or it is empty.
        """

    def class_names(self) -> tuple[str, ...]:
        """Class names of all annotations, so that every split numbers them alike.

        Raises:
            InputError: an annotation cannot be read.
        """

    def records(
        self, ids: Sequence[str], class_names: Sequence[str], with_masks: bool = True
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records of the images `ids`, and a line about everything that is doubtful.

        Raises:
            InputError: an image is missing, unreadable or of another size than annotated; an
                object is of a class that is not among `class_names`. The first of a kind is
                named, the others are counted.
        """

    def image_files(self, ids: Sequence[str]) -> list[Path]:
        """The files of the images `ids`; a missing one is where it should be."""
