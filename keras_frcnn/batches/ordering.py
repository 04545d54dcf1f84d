"""Which image each example of a training shows: a new random order every pass.

Example i belongs to pass i // count and stands at place i % count of it. Batches are cut from the
examples as they come, so one may hold the last images of a pass and the first of the next.
"""

import numpy as np
import tensorflow as tf


def image_of(
    i: tf.Tensor,
    seed: int,
    count: int,
    is_portrait: tf.Tensor | None = None,
    images_per_batch: int = 1,
) -> tf.Tensor:
    """The index of the image that example i shows, a function of (seed, i) alone.

    Every pass shows each of the `count` images once. With `is_portrait`, bool [count], the images
    of a batch are of one orientation, which leaves less of it to padding; where the numbers do
    not come out even, the first or last batch of a pass is mixed.
    """
    return _order(seed, i // count, count, is_portrait, images_per_batch)[i % count]


def images_from(
    first: int,
    seed: int,
    count: int,
    is_portrait: tf.Tensor | None = None,
    images_per_batch: int = 1,
) -> tf.data.Dataset:
    """What `image_of` gives for examples `first`, `first + 1` and so on, without an end.

    Orders the images once a pass and not once an example.
    """
    passes = tf.data.Dataset.range(first // count, np.iinfo(np.int64).max)

    def images_of_pass(epoch):
        order = _order(seed, epoch, count, is_portrait, images_per_batch)
        return tf.data.Dataset.from_tensor_slices(order)

    return passes.flat_map(images_of_pass).skip(first % count)


def _order(seed, epoch, count, is_portrait, images_per_batch) -> tf.Tensor:
    if is_portrait is None:
        return _random_order(seed, 1, epoch, count)
    return _grouped_order(seed, epoch, count, is_portrait, images_per_batch)


def _grouped_order(seed, epoch, count, is_portrait, images_per_batch) -> tf.Tensor:
    order = _random_order(seed, 1, epoch, count)
    portrait = tf.gather(is_portrait, order)
    whole, rest = [], []
    for group in (tf.boolean_mask(order, ~portrait), tf.boolean_mask(order, portrait)):
        end = tf.size(group) // images_per_batch * images_per_batch
        whole.append(group[:end])
        rest.append(group[end:])
    batches = tf.reshape(tf.concat(whole, axis=0), [-1, images_per_batch])
    batches = tf.gather(batches, _random_order(seed, 2, epoch, tf.shape(batches)[0]))

    # The pass begins inside a batch if those before it did not fill one: mixed images complete
    # it, so that the batches of one orientation are whole.
    begun = -epoch * count % images_per_batch
    fitting = (count - tf.minimum(begun, count)) // images_per_batch
    mixed = tf.concat([*rest, tf.reshape(batches[fitting:], [-1])], axis=0)
    pure = tf.reshape(batches[:fitting], [-1])
    return tf.concat([mixed[:begun], pure, mixed[begun:]], axis=0)


def _random_order(seed, purpose, epoch, count) -> tf.Tensor:
    # Not `index_shuffle`: of the orders of 50 images it knows but 256.
    key = tf.random.fold_in(tf.constant([seed, purpose], tf.int64), epoch)
    return tf.argsort(tf.random.stateless_uniform(tf.reshape(count, [1]), key))
