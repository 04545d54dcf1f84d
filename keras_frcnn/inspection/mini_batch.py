"""A mini-batch as training draws it, with what a picture of it needs to know besides.

Shape letters: N images, H x W pixels of the padded batch, R RoIs or anchors an image.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.batches.examples import TrainingImages, batch_records
from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import ImageRecord, ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.settings import Settings


class MiniBatch(NamedTuple):
    """What the model receives at one step of a training."""

    records: list[ImageRecord]  # the N images; each may be mirrored in the batch
    images: np.ndarray  # float32 [N, H, W, 3], BGR, means subtracted, padded with zeros
    sizes: np.ndarray  # int [N, 2], (height, width) of each scaled image in the batch
    rois: np.ndarray  # float32 [N, R, 4], in pixels of the scaled image
    labels: np.ndarray  # int [N, R], class, 0 for background, -1 for padding
    targets: np.ndarray  # float32 [N, R, 4], (tx, ty, tw, th), zero for background
    pixel_means: tuple[float, float, float]  # (B, G, R)

    def pixels(self) -> np.ndarray:
        """The images as people see them: uint8 RGB [N, H, W, 3], means added back."""
        values = self.images + np.float32(self.pixel_means)
        return np.clip(np.round(values), 0, 255).astype(np.uint8)[..., ::-1]

    def target_boxes(self) -> np.ndarray:
        """The boxes [N, R, 4] that the targets lead the RoIs to: for foreground, the object's."""
        return box_ops.decode(tf.constant(self.rois), tf.constant(self.targets)).numpy()


def mini_batch(images: ImageSet, settings: Settings, step: int = 0) -> MiniBatch:
    """Mini-batch number `step`, by the very pipeline that a training of these settings has.

    Raises:
        InputError: the detector of the settings makes its own proposals, `step` is negative, or
            there is no object to train on.
    """
    if settings.makes_proposals:
        raise InputError(
            f"detector: {settings.detector} draws anchors; RoIs are shown of fast_rcnn and "
            "mask_fast_rcnn"
        )
    if step < 0:
        raise InputError(f"step is {step}; it must be at least 0")
    images.check_proposals(True, settings.detector)
    means = TRUNKS[settings.trunk].pixel_means
    inputs, truth = next(iter(training_dataset(images, means, settings, step)))
    records = batch_records(images.dataset, step, settings)
    return MiniBatch(
        records,
        inputs["images"].numpy(),
        _sizes(images, records, settings, step),
        inputs["rois"].numpy(),
        truth["cls_score"].numpy(),
        truth["bbox_pred"].numpy()[..., 1:],
        means,
    )


def _sizes(images, records, settings, step) -> np.ndarray:
    """Which of several scales was drawn is known to the pipeline only, by the example's key."""
    source = TrainingImages(images.dataset, TRUNKS[settings.trunk].pixel_means, settings)
    place = {record.filename: k for k, record in enumerate(source.records)}
    sizes = []
    for n, record in enumerate(records):
        i = tf.constant(step * settings.images_per_batch + n, tf.int64)
        sizes.append(source.scaled(i, place[record.filename])[2].numpy())
    return np.stack(sizes)
