"""What the input pipelines of all detectors share: which image, how it is scaled, and batches.

Example i of a training is a function of (seed, i) alone, so that a run that starts at batch n sees
what an uninterrupted one would see.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_frcnn.batches.masks import ObjectMasks
from keras_frcnn.batches.ordering import image_of, images_from
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.images import decode_image
from keras_frcnn.data.preprocessing import pad_small, scale_image, scaled_size
from keras_frcnn.settings import Settings


class Share(NamedTuple):
    """A worker's part of each mini-batch: the `index`-th of `count` equal ones, in order."""

    index: int
    count: int


WHOLE = Share(0, 1)


class TrainingImages:
    """The images of a data set that can be trained on, as constants of the pipeline's graph.

    Those without an object that is not difficult are left out.

    Args:
        dataset: to train on.
        pixel_means: of the trunk, (B, G, R).
        settings: of these, `seed`, `min_side`, `max_side` (see `preprocessing.scaled_size`; several
            values of `min_side` are drawn from at random), `images_per_batch` and
            `group_by_aspect`: whether the images of a batch are of one orientation, so that less of
            it is padding: 4% of its pixels instead of 13% on photographs of VOC 2007.

    Raises:
        InputError: no image has a usable object.
    """

    def __init__(
        self, dataset: Dataset, pixel_means: tuple[float, float, float], settings: Settings
    ):
        self.settings = settings
        self._name = dataset.name
        self.places = dataset.trainable()  # of the images in the data set
        self.records = [dataset.images[i] for i in self.places]
        self._pixel_means = pixel_means
        self._paths = tf.constant([os.fsencode(r.path) for r in self.records])  # need not be UTF-8
        self._orientations = tf.constant([r.orientation for r in self.records])
        self._sizes = tf.constant([(r.height, r.width) for r in self.records], tf.int32)
        self._min_sides = tf.constant(settings.min_side, tf.int32)
        # Of each image, its objects that are not difficult.
        counted = [~r.is_difficult for r in self.records]
        pairs = list(zip(self.records, counted, strict=True))
        self.boxes = _ragged([r.boxes[c] for r, c in pairs], np.float32)
        self.classes = _ragged([r.labels[c] for r, c in pairs], np.int32)

    def key(self, i: tf.Tensor) -> tf.Tensor:
        """The random key of example i, int32 [2]: another one for each seed and example."""
        return tf.random.fold_in(tf.constant([self.settings.seed, 0]), i)

    def seeds(self, i: tf.Tensor) -> tf.Tensor:
        """Of example i, int32 [3, 2]: for its scale, whether it is mirrored, and its RoIs."""
        return tf.random.split(self.key(i), 3)

    def scaled(self, i: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Image k as example i shows it: network input, (height, width) in the file, and scaled."""
        # The names are what `keras-frcnn bench train` finds the stages by.
        with tf.name_scope("decode_and_scale"):
            image = decode_image(tf.io.read_file(self._paths[k]), self._orientations[k])
            original = tf.shape(image)[:2]
            size = self._scaled_size(i, original)
            return scale_image(image, size, self._pixel_means), original, size

    def masks(self) -> ObjectMasks:
        """The masks of the objects; `InputError` if there are none."""
        return ObjectMasks(self.records, self._name)

    def _scaled_size(self, i, original):
        sides = self._min_sides
        draw = tf.random.stateless_uniform([], self.seeds(i)[0], 0, tf.size(sides), tf.int32)
        return scaled_size(original, sides[draw], self.settings.max_side)

    def batches(self, example: Callable, start: int, share: Share = WHOLE) -> tf.data.Dataset:
        """Endless mini-batches from number `start` on, or a worker's share of each.

        Args:
            example: gives what mini-batches are made of from i and k: example i, which shows image
                k. Its tensors are padded with zeros to the largest of the batch, its image to 16
                pixels a side at least.
            share: of several workers' mini-batches; images are padded as in the whole one, and only
                those of the share are read.
        """
        settings = self.settings
        first = start * settings.images_per_batch
        numbers = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
        is_portrait = _is_portrait(self.records) if settings.group_by_aspect else None
        shown = images_from(
            first, settings.seed, len(self.records), is_portrait, settings.images_per_batch
        )

        def padded(i, k, least):
            inputs, truth = example(i, k)
            return inputs | {"images": _padded(pad_small(inputs["images"]), least)}, truth

        # Not rewritten by AutoGraph, which needs room for temporary files.
        padded = tf.autograph.experimental.do_not_convert(padded)
        examples = self._of_share(tf.data.Dataset.zip(numbers, shown), share).map(
            padded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        count = settings.images_per_batch // share.count
        batches = examples.padded_batch(count, drop_remainder=True).prefetch(2)
        # As many calls as TensorFlow has threads (up to 16), and no tuning of that number: the
        # tuning thread may miss that its iterator is deleted, since TensorFlow wakes it a moment
        # before it sets what the thread looks at (`Model::OptimizeLoop`, `StartCancel`). It then
        # sleeps on, up to a minute, and `fit` does not return after its last step.
        options = tf.data.Options()
        options.autotune.enabled = False
        return batches.with_options(options)

    def _of_share(self, pairs: tf.data.Dataset, share: Share) -> tf.data.Dataset:
        """(i, k) of the share's examples, and what their images are padded to at least."""
        if share.count == 1:
            return pairs.map(lambda i, k: (i, k, tf.zeros(2, tf.int32)))
        count = self.settings.images_per_batch // share.count
        own = slice(share.index * count, (share.index + 1) * count)

        def share_of(i, k):
            # The records tell the sizes: the images of the others are not read.
            sizes = tf.map_fn(
                lambda pair: self._scaled_size(pair[0], self._sizes[pair[1]]),
                (i, k),
                fn_output_signature=tf.int32,
            )
            largest = tf.tile(tf.reduce_max(sizes, axis=0)[None], [count, 1])
            return tf.data.Dataset.from_tensor_slices((i[own], k[own], largest))

        share_of = tf.autograph.experimental.do_not_convert(share_of)
        whole = pairs.batch(self.settings.images_per_batch, drop_remainder=True)
        # Without the word that there is no end, workers ask each other before every batch.
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return whole.flat_map(share_of).apply(endless)


def batch_records(dataset: Dataset, batch: int, settings: Settings) -> list[ImageRecord]:
    """The images that a training puts into mini-batch number `batch`, in order."""
    count = settings.images_per_batch
    records = [dataset.images[i] for i in dataset.trainable()]
    is_portrait = _is_portrait(records) if settings.group_by_aspect else None
    examples = tf.range(count, dtype=tf.int64) + batch * count
    return [
        records[int(image_of(i, settings.seed, len(records), is_portrait, count))] for i in examples
    ]


def _ragged(arrays: Sequence[np.ndarray], dtype) -> tf.RaggedTensor:
    """Arrays of unequal length as one tensor that can be indexed inside the pipeline."""
    return tf.RaggedTensor.from_row_lengths(
        np.concatenate(arrays, dtype=dtype), [len(a) for a in arrays]
    )


def _padded(image: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """The image with zeros below and to the right, up to (height, width) `least`."""
    missing = tf.maximum(least - tf.shape(image)[:2], 0)
    return tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]])


def _is_portrait(records: Sequence[ImageRecord]) -> tf.Tensor:
    return tf.constant([r.height > r.width for r in records])
