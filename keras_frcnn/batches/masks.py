"""The masks of an image's objects inside the input pipeline, and the targets cut from them.

Bitmaps are made of run lengths one by one and only for what is cut: those of a photograph with
hundreds of objects would not fit into memory together. They are never scaled or mirrored; boxes are
taken back to the pixels of the original image instead.

Shape letters: M objects of an image, H x W pixels, D RoIs, S x S cells of a cut.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn import run_length
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.models.mask_losses import IGNORED
from keras_frcnn.models.mask_targets import cut_masks


class ObjectMasks:
    """The masks of the objects to train on, image by image.

    Args:
        records: the images that can be trained on; objects that are difficult are left out.
        name: of the data set, for messages.

    Raises:
        InputError: none of the objects has a mask.
    """

    def __init__(self, records: Sequence[ImageRecord], name: str):
        check_has_masks(records, name)
        self._records = records

    def of(self, k: tf.Tensor) -> tf.RaggedTensor:
        """Run lengths int32 [M, (L)] of the objects of image k, zeros first; none without a mask.

        A call of Python, as the proposals: in memory they stay in their short form.
        """
        lengths, counts = tf.numpy_function(self._runs, [k], (tf.int32, tf.int32), stateful=False)
        return tf.RaggedTensor.from_row_lengths(
            tf.ensure_shape(lengths, [None]), tf.ensure_shape(counts, [None]), validate=False
        )

    def _runs(self, k):
        record = self._records[k]
        masks = record.masks or (None,) * len(record.labels)
        found = [
            np.zeros(0, np.int32) if mask is None else run_length.runs(mask).astype(np.int32)
            for mask, is_difficult in zip(masks, record.is_difficult, strict=True)
            if not is_difficult
        ]
        return np.concatenate([np.zeros(0, np.int32), *found]), np.int32(list(map(len, found)))


def check_has_masks(records: Sequence[ImageRecord], name: str) -> None:
    """Refuse images of a data set called `name` that have no masks; raises as `ObjectMasks`."""
    if not any(mask is not None for record in records for mask in record.masks):
        raise InputError(
            f"{name}: its objects have no masks to learn from; train fast_rcnn or faster_rcnn, or "
            "annotate outlines (docs/data_sets.md)"
        )


def bitmap(runs: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Run lengths [L], zeros first, as uint8 [H, W]; no lengths are an empty mask."""
    inside = tf.cast(tf.range(tf.size(runs)) % 2, tf.uint8)
    pixels = tf.repeat(inside, runs)
    missing = size[0] * size[1] - tf.size(pixels)
    columns = tf.reshape(tf.pad(pixels, [[0, missing]]), tf.stack([size[1], size[0]]))
    return tf.transpose(columns)


def cut_objects(
    runs: tf.RaggedTensor,
    size: tf.Tensor,
    index: tf.Tensor,
    boxes: tf.Tensor,
    cells: int,
    is_mirrored: tf.Tensor,
) -> tf.Tensor:
    """Of one object for each box, what is inside the box: uint8 [D, S, S] of 0, 1 and 255.

    Args:
        runs: of the objects, [M, (L)], at least one.
        size: (height, width) of the image.
        index: int32 [D], the object; below 0, and where the object has no mask, the row is 255.
        boxes: [D, 4] in pixels of the image as it is seen.
        cells: S.
        is_mirrored: whether it is seen mirrored.
    """
    width = tf.cast(size[1], tf.float32)
    boxes = tf.cond(is_mirrored, lambda: box_ops.flip_horizontally(boxes, width), lambda: boxes)

    def one(inputs):
        own, box = inputs
        is_known = own >= 0
        lengths = runs[tf.maximum(own, 0)]
        is_known &= tf.size(lengths) > 0
        return tf.cond(
            is_known,
            lambda: cut_masks(bitmap(lengths, size)[None], box[None], cells)[0],
            lambda: tf.fill([cells, cells], tf.constant(IGNORED, tf.uint8)),
        )

    cut = tf.map_fn(
        tf.autograph.experimental.do_not_convert(one),
        (index, boxes),
        fn_output_signature=tf.TensorSpec([cells, cells], tf.uint8),
    )
    return tf.cond(is_mirrored, lambda: cut[:, :, ::-1], lambda: cut)
