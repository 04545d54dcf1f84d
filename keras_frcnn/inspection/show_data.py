"""Ground truth as people see it: each image with its objects."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.pictures.draw import draw_ground_truth


class ShownData(NamedTuple):
    """One image and its M objects."""

    filename: str
    boxes: np.ndarray  # float32 [M, 4], pixels of the image
    names: tuple[str, ...]  # the class of each object
    is_difficult: np.ndarray  # bool [M]
    picture: Image.Image  # difficult objects are dashed


def show_data(photos: Dataset, count: int = 12) -> list[ShownData]:
    """The ground truth of the first `count` images.

    Raises:
        InputError: an image cannot be read.
    """
    shown = []
    for record in photos.images[:count]:
        image = read_image(record.path, record.orientation)
        shown.append(
            ShownData(
                record.filename,
                record.boxes,
                tuple(photos.class_names[k - 1] for k in record.labels),
                record.is_difficult,
                draw_ground_truth(image, record, photos.class_names),
            )
        )
    return shown
