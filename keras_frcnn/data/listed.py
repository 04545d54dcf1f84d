"""Data sets whose annotation files name their images: COCO, YOLO, tables."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from keras_frcnn.data import assembly, voc_orientation
from keras_frcnn.data.assembly import FoundImage
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.split_names import known_as
from keras_frcnn.errors import InputError


class ListedSource:
    """A data set read as a whole; a `keras_frcnn.data.source.Source`.

    Args:
        form: as messages call it.
        root: its folder, or its only file.
        class_names: in the order of the file.
        images: by id, in the order of the files.
        splits: the ids of each split; none where nothing tells.
        category_ids: of the classes, in COCO's files.
    """

    def __init__(
        self,
        form: str,
        root: Path,
        class_names: Sequence[str],
        images: Mapping[str, FoundImage],
        splits: Mapping[str, Sequence[str]],
        category_ids: Mapping[str, int] | None = None,
    ):
        self.form = form
        self.root = root
        self.category_ids = category_ids or {}
        self._class_names = tuple(class_names)
        self._images = images
        self._splits = splits

    @property
    def splits(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._splits)

    def ids(self, split: str | None) -> list[str]:
        """Ids of the images of a split, of all if it is None.

        Raises:
            InputError: there is no such split, or it is empty.
        """
        found = self._images if split is None else self._splits.get(known_as(split, self._splits))
        if not found:
            about = "has no images" if split is None else f"{split}: there is no image in it"
            if split is not None and found is None:
                choice = ", ".join(self._splits) or "none: give no split, to take all"
                about = f"{split}: there is no such split; there are {choice}"
            raise InputError(f"{self.root}: {about}")
        return list(found)

    def class_names(self) -> tuple[str, ...]:
        """As the files name them."""
        return self._class_names

    def records(
        self, ids: Sequence[str], class_names: Sequence[str], with_masks: bool = True
    ) -> tuple[list[ImageRecord], list[str]]:
        """The records of the images `ids`, and a line about everything that is doubtful.

        Raises:
            InputError: an image is missing, unreadable or of another size than annotated; an
                object is of a class that is not among `class_names`.
        """
        return assembly.records(
            [self._images[i] for i in ids], class_names, self._turns, with_masks
        )

    def image_files(self, ids: Sequence[str]) -> list[Path]:
        """The files of the images `ids`."""
        return [self._images[i].path for i in ids]

    def _turns(self) -> bool | None:
        """Whether the data set was annotated on turned images; reads the headers of all."""
        found = []
        for image in self._images.values():
            if image.size is not None:
                with suppress(InputError):  # it may be in another split than what is loaded
                    found.append(assembly.annotated(image))
        return voc_orientation.turns(found)
