"""A choice of images of a large data set."""

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet


def image_set(count):
    records = tuple(ImageRecord(f"{i}", f"{i}.jpg", 9, 9) for i in range(count))
    boxes = [np.full((i, 4), i, np.float32) for i in range(count)]
    return ImageSet(Dataset("d", ("a",), records), boxes)


def test_a_sample_is_fixed_and_in_order_and_keeps_proposals_with_their_images():
    images = image_set(50)
    chosen = images.sample(20)
    numbers = [int(record.filename) for record in chosen.dataset.images]
    assert len(set(numbers)) == 20 and numbers == sorted(numbers)
    assert numbers != list(range(20))
    assert [len(boxes) for boxes in chosen.proposals] == numbers
    assert [len(boxes) for boxes in chosen.proposals[5:9]] == numbers[5:9]
    assert images.sample(20).dataset == chosen.dataset
    assert chosen.dataset.class_names == ("a",) and chosen.dataset.name == "d"


@pytest.mark.parametrize("most", [5, 6])
def test_a_small_set_is_its_own_sample(most):
    images = image_set(5)
    assert images.sample(most) is images


def test_a_set_without_proposals_has_a_sample_without():
    images = ImageSet(image_set(5).dataset)
    assert images.sample(2).proposals is None
