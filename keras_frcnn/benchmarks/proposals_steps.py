"""What `keras-frcnn bench proposals` and `bench faster-rcnn` measure, by name, and on what."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frcnn.benchmarks.train_workload import photograph
from keras_frcnn.data.images import open_image
from keras_frcnn.errors import InputError
from keras_frcnn.opencv import opencv

SIZE = (600, 1000)  # pixels of every photograph, height and width
COUNT = 8
SEARCH = "selective search"
# From the feature map to scores and offsets; from there to proposals; both in one.
LAYERS, SUPPRESS, PROPOSE = "RPN layers", "decoding and suppression", "proposals"
DETECTION = "detection"  # a whole one
# How many of the best boxes are suppressed among, and how many are kept: in detection, in joint
# training, in the four steps. None: all.
NUMBERS = ((6000, 300), (12_000, 2000), (None, 2000))
BOXES = "boxes"  # what the search returns


class Step(NamedTuple):
    """One thing that is timed, on one photograph."""

    what: str
    photograph: int
    precision: str = ""
    numbers: tuple[int | None, int] = NUMBERS[0]


def photographs(folder: Path | None, count: int = COUNT) -> list[np.ndarray]:
    """Images of `SIZE`, uint8 RGB [H, W, 3].

    Args:
        folder: with photographs, of which the first are cut to the shape around the middle and
            scaled; made-up ones without it.
        count: how many.

    Raises:
        InputError: there are not so many.
    """
    if folder is None:
        rng = np.random.default_rng(0)
        return [photograph(rng, *SIZE) for _ in range(count)]
    suffixes = {".jpg", ".jpeg", ".png"}
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in suffixes)[:count]
    if len(paths) < count:
        raise InputError(f"--photos: {folder} has {len(paths)} photographs, {count} are needed")
    return [_cut(open_image(path)) for path in paths]


def _cut(image):
    height, width = image.shape[:2]
    scale = max(SIZE[0] / height, SIZE[1] / width)
    rows, columns = (
        min(side, round(s / scale)) for side, s in zip((height, width), SIZE, strict=True)
    )
    top, left = (height - rows) // 2, (width - columns) // 2
    image = image[top : top + rows, left : left + columns]
    return opencv().resize(image, SIZE[::-1], interpolation=opencv().INTER_LINEAR)
