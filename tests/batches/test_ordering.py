import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.batches.ordering import image_of, images_from


def images(count, passes, seed=0, **grouping):
    """The image of every example of the first passes."""

    @tf.function
    def shown(examples):
        return tf.map_fn(
            lambda i: image_of(i, seed, count, **grouping), examples, fn_output_signature=tf.int32
        )

    return shown(tf.range(passes * count, dtype=tf.int64)).numpy()


def orientation(landscape, portrait):
    """Landscape and portrait images mixed in the data set's order."""
    is_portrait = np.arange(landscape + portrait) < portrait
    np.random.default_rng(0).shuffle(is_portrait)
    return is_portrait


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("landscape, portrait", [(7, 5), (8, 5), (9, 0), (0, 1)])
def test_every_pass_shows_every_image_once(landscape, portrait, batch):
    count = landscape + portrait
    is_portrait = tf.constant(orientation(landscape, portrait))
    order = images(count, 5, is_portrait=is_portrait, images_per_batch=batch)
    for shown in order.reshape(5, count):
        assert sorted(shown) == list(range(count))


@pytest.mark.parametrize("landscape, portrait, mixed", [(8, 4, 0), (7, 4, 0), (8, 5, 0), (7, 5, 1)])
def test_pairs_are_of_one_orientation(landscape, portrait, mixed):
    """But for one pair a pass where both numbers are odd. Where one is, the image that is left
    over meets the one of the next pass, which is of the same orientation."""
    is_portrait = orientation(landscape, portrait)
    passes, count = 6, landscape + portrait
    order = images(count, passes, is_portrait=tf.constant(is_portrait), images_per_batch=2)
    pairs = is_portrait[order].reshape(-1, 2)
    assert (pairs[:, 0] != pairs[:, 1]).sum() == mixed * passes


@pytest.mark.parametrize("batch", [3, 4])
def test_larger_batches_are_mixed_only_at_the_ends_of_a_pass(batch):
    is_portrait = orientation(13, 10)
    order = images(23, 12, is_portrait=tf.constant(is_portrait), images_per_batch=batch)
    batches = is_portrait[order].reshape(-1, batch)
    is_mixed = batches.any(axis=1) & ~batches.all(axis=1)
    assert is_mixed.sum() <= 12 * 2
    for k in np.flatnonzero(is_mixed):
        begin, end = k * batch % 23, ((k + 1) * batch - 1) % 23
        assert begin < batch or end < begin or end >= 23 - 2 * batch


def test_each_pass_has_pairs_and_an_order_of_its_own():
    is_portrait = orientation(20, 10)
    order = images(30, 3, is_portrait=tf.constant(is_portrait), images_per_batch=2).reshape(3, 30)
    pairs = [{frozenset(pair) for pair in shown.reshape(-1, 2)} for shown in order]
    assert len(pairs[0] & pairs[1]) < 5 and len(pairs[1] & pairs[2]) < 5
    # Orientations come in random order as well, not one after the other.
    for shown in order:
        kinds = is_portrait[shown[::2]]
        assert (kinds[1:] != kinds[:-1]).sum() > 1


def test_seeds_give_other_orders():
    grouping = {"is_portrait": tf.constant(orientation(8, 4)), "images_per_batch": 2}
    a, b = (images(12, 1, seed, **grouping) for seed in (1, 2))
    assert (a != b).any()
    np.testing.assert_array_equal(a, images(12, 1, 1, **grouping))


def test_every_image_is_as_often_in_every_place():
    """Over many passes of 6 images: chi-squared with 25 degrees of freedom, 0.1% at 52.6."""
    grouping = {"is_portrait": tf.constant(orientation(4, 2)), "images_per_batch": 2}
    for options in ({}, grouping):
        order = images(6, 600, **options).reshape(600, 6)
        seen = np.array([[(order[:, place] == k).sum() for place in range(6)] for k in range(6)])
        assert ((seen - 100) ** 2 / 100).sum() < 52.6


@pytest.mark.parametrize("first", [0, 1, 13, 30])
@pytest.mark.parametrize("is_grouped", [False, True])
def test_images_from_any_example_on(first, is_grouped):
    """Of 13 images, so that every other pass begins inside a batch."""
    is_portrait = tf.constant(orientation(8, 5))
    grouping = {"is_portrait": is_portrait, "images_per_batch": 2} if is_grouped else {}
    expected = images(13, 5, seed=3, **grouping)[first : first + 35]
    shown = images_from(first, 3, 13, **grouping).take(35)
    assert [int(k) for k in shown] == list(expected)
