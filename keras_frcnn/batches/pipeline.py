"""The training input pipeline: from records and proposals to mini-batches, in TensorFlow ops.

Shape letters: N images a batch, R RoIs an image, P proposals of an image, M of its objects.
"""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.batches.ordering import image_of, images_from
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.data.images import decode_image
from keras_frcnn.data.preprocessing import box_scale, scale_image, scaled_size
from keras_frcnn.sampling import sample_rois
from keras_frcnn.settings import Settings


def training_dataset(
    images: ImageSet,
    pixel_means: tuple[float, float, float],
    settings: Settings,
    start: int = 0,
) -> tf.data.Dataset:
    """Endless mini-batches for `model.fit` (paper sections 2.3 and 5.2).

    The images come in random order, another one in every pass; each is scaled, mirrored with
    probability 0.5, and gives `rois_per_image` sampled RoIs. Example i is a function of
    (seed, i) alone, so a run that starts at batch n sees what an uninterrupted one would see.
    Images without an object that is not difficult give no RoIs by the paper's rules and are
    left out.

    Args:
        images: to train on.
        pixel_means: of the trunk, (B, G, R).
        settings: of these, `seed`, `min_side`, `max_side` (see `preprocessing.scaled_size`; several
            values of `min_side` are drawn from at random), `images_per_batch`, `rois_per_image` and
            `group_by_aspect`: whether the images of a batch are of one orientation, so that less of
            it is padding: 4% of its pixels instead of 13% on photographs of VOC 2007.
        start: number of the first batch.

    Returns:
        Pairs of `{"images": [N, H, W, 3], "rois": [N, R, 4]}` and
        `{"cls_score": labels [N, R], "bbox_pred": [N, R, 5]}`, rows of the latter being
        (label, tx, ty, tw, th). Images are padded with zeros to the largest of the batch.

    Raises:
        InputError: no image has a usable object.
    """
    seed, images_per_batch = settings.seed, settings.images_per_batch
    usable = images.dataset.trainable()
    records = [images.dataset.images[i] for i in usable]
    paths = tf.constant([os.fsencode(r.path) for r in records])  # need not be UTF-8
    orientations = tf.constant([r.orientation for r in records])
    all_proposals = _ragged([images.proposals[i] for i in usable], np.float32)
    all_boxes = _ragged([r.boxes[~r.is_difficult] for r in records], np.float32)
    all_classes = _ragged([r.labels[~r.is_difficult] for r in records], np.int32)
    min_sides = tf.constant(settings.min_side, tf.int32)
    is_portrait = _is_portrait(records) if settings.group_by_aspect else None

    # Not rewritten by AutoGraph, which needs room for temporary files.
    @tf.autograph.experimental.do_not_convert
    def example(i, k):  # example i, which shows image k
        seeds = tf.random.split(tf.random.fold_in(tf.constant([seed, 0]), i), 3)
        rois, gt_boxes, gt_classes = all_proposals[k], all_boxes[k], all_classes[k]

        # The names are what `keras-frcnn bench train` finds the stages by.
        with tf.name_scope("decode_and_scale"):
            image = decode_image(tf.io.read_file(paths[k]), orientations[k])
            original = tf.shape(image)[:2]
            draw = tf.random.stateless_uniform([], seeds[0], 0, tf.size(min_sides), tf.int32)
            size = scaled_size(original, min_sides[draw], settings.max_side)
            image = scale_image(image, size, pixel_means)

        def mirrored():
            width = tf.cast(original[1], tf.float32)
            boxes = (box_ops.flip_horizontally(b, width) for b in (rois, gt_boxes))
            return image[:, ::-1], *boxes

        image, rois, gt_boxes = tf.cond(
            tf.random.stateless_uniform([], seeds[1]) < 0.5,
            mirrored,
            lambda: (image, rois, gt_boxes),
        )

        # Sampled before they are scaled: neither IoU nor targets depend on the scale, but its
        # rounding would move a proposal of IoU 0.5 to one side or the other.
        with tf.name_scope("sample_rois"):
            rois, labels, targets = sample_rois(
                rois, gt_boxes, gt_classes, seeds[2], settings.rois_per_image
            )
        rois *= box_scale(original, size)
        return (
            {"images": image, "rois": rois},
            {
                "cls_score": labels,
                "bbox_pred": tf.concat([tf.cast(labels, tf.float32)[:, None], targets], axis=1),
            },
        )

    first = start * images_per_batch
    numbers = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    shown = images_from(first, seed, len(records), is_portrait, images_per_batch)
    examples = tf.data.Dataset.zip(numbers, shown).map(
        example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    batches = examples.padded_batch(images_per_batch, drop_remainder=True).prefetch(2)
    # As many calls as TensorFlow has threads (up to 16), and no tuning of that number: the tuning
    # thread may miss that its iterator is deleted, since TensorFlow wakes it a moment before it
    # sets what the thread looks at (`Model::OptimizeLoop`, `StartCancel`). It then sleeps on, up
    # to a minute, and `fit` does not return after its last step.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def batch_records(dataset: Dataset, batch: int, settings: Settings) -> list[ImageRecord]:
    """The images that `training_dataset` puts into mini-batch number `batch`, in order."""
    count = settings.images_per_batch
    records = [dataset.images[i] for i in dataset.trainable()]
    is_portrait = _is_portrait(records) if settings.group_by_aspect else None
    examples = tf.range(count, dtype=tf.int64) + batch * count
    return [
        records[int(image_of(i, settings.seed, len(records), is_portrait, count))] for i in examples
    ]


def _is_portrait(records: Sequence[ImageRecord]) -> tf.Tensor:
    return tf.constant([r.height > r.width for r in records])


def _ragged(arrays: Sequence[np.ndarray], dtype) -> tf.RaggedTensor:
    """Arrays of unequal length as one tensor that can be indexed inside the pipeline."""
    return tf.RaggedTensor.from_row_lengths(
        np.concatenate(arrays).astype(dtype), [len(a) for a in arrays]
    )
