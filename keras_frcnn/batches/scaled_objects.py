"""The objects of a data set in the pixels of its scaled images, without reading any image.

Shape letters: N scaled images, M objects of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.preprocessing import box_scale, scaled_size


@dataclass(frozen=True, eq=False)
class ScaledObjects:
    """The images that can be trained on, once for each scale, and their objects."""

    name: str  # of the data set
    filenames: tuple[str, ...]  # of the N images
    sizes: np.ndarray  # int32 [N, 2], (height, width)
    boxes: np.ndarray  # float32 [M, 4], those of one image beside each other
    image: np.ndarray  # int [M], which of the N images it is in, ascending

    def by_image(self) -> list[np.ndarray]:
        """The objects of each image, [M_n, 4]."""
        return np.split(self.boxes, np.searchsorted(self.image, np.arange(1, len(self.sizes))))


def scaled_objects(dataset: Dataset, min_side: Sequence[int], max_side: int) -> ScaledObjects:
    """What a training would see of the objects, mirror images left out.

    Args:
        dataset: its images without an object that is not difficult are left out, and so are
            difficult objects.
        min_side: shorter sides; every image counts at each of them.
        max_side: see `preprocessing.scaled_size`.

    Raises:
        InputError: no image has an object to train on.
    """
    records = [dataset.images[i] for i in dataset.trainable()]
    objects = [r.boxes[~r.is_difficult] for r in records]
    originals = tf.constant([(r.height, r.width) for r in records], tf.int32)
    counts = list(map(len, objects))

    @tf.function
    def scaled(side):
        def one(original):
            size = scaled_size(original, side, max_side)
            return size, box_scale(original, size)

        signature = (tf.TensorSpec([2], tf.int32), tf.TensorSpec([4]))
        return tf.map_fn(one, originals, fn_output_signature=signature)

    sizes, scales = zip(*(map(np.array, scaled(tf.constant(s))) for s in min_side), strict=True)
    return ScaledObjects(
        dataset.name,
        tuple(r.filename for r in records) * len(min_side),
        np.concatenate(sizes),
        np.concatenate([np.concatenate(objects) * np.repeat(s, counts, axis=0) for s in scales]),
        np.repeat(np.arange(len(records) * len(min_side)), counts * len(min_side)),
    )
