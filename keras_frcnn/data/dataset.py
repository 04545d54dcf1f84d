"""The one form every data set takes inside the project.

M is the number of ground-truth boxes of an image, K the number of object classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from keras_frcnn.errors import InputError


@dataclass(frozen=True)
class ImageRecord:
    """One image and its ground truth.

    Boxes are (x1, y1, x2, y2) in continuous pixels of the upright image.
    """

    filename: str  # unique in the data set, as in `image/filename`
    path: str  # the encoded file, JPEG or PNG
    height: int  # pixels, after `orientation` is applied
    width: int
    orientation: int = 1  # EXIF orientation to apply after decoding, 1 to 8
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))  # [M, 4]
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # [M], 1..K
    is_difficult: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # [M]
    coco_id: int | None = None  # of the image in COCO's file, which result files refer to
    # Of each object, the run lengths of its bitmap [height, width] (`keras_frcnn.run_length`), None
    # where it has a box alone; empty where the data set was read without masks or has none.
    masks: tuple[bytes | None, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A split of a data set, in a fixed order."""

    name: str  # what was asked for, such as "voc/2007:trainval"
    class_names: tuple[str, ...]  # label k (1..K) is class_names[k - 1]; 0 is background
    images: tuple[ImageRecord, ...]
    warnings: tuple[str, ...] = ()  # what was skipped or is doubtful, a line each, naming the file
    category_ids: tuple[int, ...] = ()  # of the labels 1..K in COCO's file; otherwise none
    notes: tuple[str, ...] = ()  # how it was read where that is not what the files say, a line each

    @property
    def has_masks(self) -> bool:
        """Whether an object has a mask."""
        return any(mask is not None for record in self.images for mask in record.masks)

    def trainable(self) -> list[int]:
        """Places of the images that have an object to train on, one that is not difficult.

        Raises:
            InputError: no image has.
        """
        places = [i for i, record in enumerate(self.images) if not record.is_difficult.all()]
        if not places:
            raise InputError(f"{self.name}: no image has an object that is not difficult")
        return places


SAMPLE = 10_000  # images that give statistics of a larger data set


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set and its proposals, which go together through training and evaluation.

    There are none where the detector makes its own.

    Raises:
        InputError: there are not as many arrays as images, or one is not [P, 4].
    """

    dataset: Dataset
    # float32 [P, 4] for each image, in pixels, in its order
    proposals: Sequence[np.ndarray] | None = None

    def __post_init__(self):
        if self.proposals is None:
            return
        if len(self.proposals) != len(self.dataset.images):
            raise InputError(
                f"proposals: of {len(self.proposals)} images, but {self.dataset.name} has "
                f"{len(self.dataset.images)}"
            )
        for record, boxes in zip(self.dataset.images, self.proposals, strict=True):
            if np.ndim(boxes) != 2 or np.shape(boxes)[1] != 4:
                raise InputError(
                    f"proposals of {record.filename}: must be [P, 4], not {list(np.shape(boxes))}"
                )

    def sample(self, most: int = SAMPLE) -> "ImageSet":
        """A fixed random choice of so many images, in their order; all where there are no more."""
        count = len(self.dataset.images)
        if count <= most:
            return self
        places = np.sort(np.random.default_rng(0).choice(count, most, replace=False)).tolist()
        images = tuple(self.dataset.images[i] for i in places)
        proposals = None if self.proposals is None else _Chosen(self.proposals, places)
        return ImageSet(replace(self.dataset, images=images), proposals)

    def check_proposals(self, are_needed: bool, detector: str, name: str = "proposals") -> None:
        """Refuse to be without proposals where they are needed, and to bring some where not.

        Raises:
            InputError: it is so; `detector` and `name` are what the message calls them.
        """
        if are_needed == (self.proposals is None):
            does = "needs some" if are_needed else "makes its own; leave them out"
            raise InputError(f"{name}: {detector} {does}")


class _Chosen(Sequence[np.ndarray]):
    """Some of a sequence of arrays, which may be read from a file one by one."""

    def __init__(self, arrays: Sequence[np.ndarray], places: Sequence[int]):
        self._arrays, self._places = arrays, places

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return _Chosen(self._arrays, self._places[index])
        return self._arrays[self._places[index]]
