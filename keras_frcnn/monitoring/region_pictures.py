"""Pictures of what a region proposal network learns and says, in one photograph."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_frcnn.batches.anchor_targets import anchor_targets
from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.data.preprocessing import box_scale, scaled_size
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.models.rpn_levels import level_anchor_boxes
from keras_frcnn.pictures import draw as pictures
from keras_frcnn.pictures.heat_map import draw_heat_map

BEST = 20  # proposals that are drawn


def draw_region_stages(
    proposer: Proposer,
    image: np.ndarray,
    record: ImageRecord,
    class_names: tuple[str, ...],
    anchors_per_image: int,
    seed: Sequence[int],
) -> Image.Image:
    """Ground truth, sampled anchors, the best proposals, and objectness, on one sheet."""
    proposals, _ = proposer.propose(image)
    drawn = [
        pictures.draw_ground_truth(image, record, class_names),
        draw_training_anchors(proposer, image, record, anchors_per_image, seed),
        pictures.draw_proposals(image, proposals[:BEST]),
        *draw_objectness(proposer, image),
    ]
    return pictures.contact_sheet(drawn, columns=3, cell_size=640)


def draw_training_anchors(
    proposer: Proposer,
    image: np.ndarray,
    record: ImageRecord,
    anchors_per_image: int,
    seed: Sequence[int],
) -> Image.Image:
    """The anchors that a step of training might sample from the image; see `anchor_targets`."""
    image_size = tf.constant(image.shape[:2])
    size = scaled_size(image_size, proposer.min_side, proposer.max_side)
    scale = box_scale(image_size, size)
    index, labels, _ = anchor_targets(
        size,
        tf.constant(record.boxes[~record.is_difficult]) * scale,
        tf.convert_to_tensor(seed),
        proposer.options,
        anchors_per_image,
    )
    anchors = level_anchor_boxes(index, proposer.options) / scale
    return pictures.draw_sampled_anchors(image, anchors.numpy(), labels.numpy())


def draw_objectness(proposer: Proposer, image: np.ndarray) -> list[Image.Image]:
    """A heat map for each scale: the highest objectness of the anchors of any ratio at each cell.

    Not one for all scales: the largest anchors seldom lie inside an image and learn late what is
    background; in a common map they would cover what the others tell.
    """
    objectness, cell = proposer.objectness_map(image)
    options = proposer.options
    # Of a pyramid each level has anchors of a scale of its own.
    scales = [
        scale * stride / (options.strides or (options.stride,))[0]
        for stride in options.strides or (options.stride,)
        for scale in options.scales
    ]
    by_scale = objectness.reshape(*objectness.shape[:2], len(options.ratios), len(scales))
    return [
        draw_heat_map(
            image,
            by_scale[:, :, :, i].max(axis=2),
            cell,
            f"objectness, anchors of {scale * math.sqrt(np.prod(cell)):.0f} pixels",
        )
        for i, scale in enumerate(scales)
    ]
