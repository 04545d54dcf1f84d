"""The one form every data set takes inside the project.

M is the number of ground-truth boxes of an image, K the number of object classes.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ImageRecord:
    """One image and its ground truth; boxes are continuous pixels of the upright image."""

    filename: str  # unique in the data set, as in `image/filename`
    path: str  # the encoded file, JPEG or PNG
    height: int  # pixels, after `orientation` is applied
    width: int
    orientation: int = 1  # EXIF orientation to apply after decoding, 1 to 8
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))  # [M, 4] x1y1x2y2
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # [M], 1..K
    is_difficult: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # [M]


@dataclass(frozen=True)
class Dataset:
    """A split of a data set, in a fixed order."""

    name: str  # what the user asked for, such as "voc/2007:trainval"
    class_names: tuple[str, ...]  # label k (1..K) is class_names[k - 1]; 0 is background
    images: tuple[ImageRecord, ...]
    warnings: tuple[str, ...] = ()  # objects that were skipped, one line each, naming the file
