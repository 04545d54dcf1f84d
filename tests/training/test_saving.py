"""What a step that TensorFlow cannot make is said to lack."""

import os
from types import SimpleNamespace

import pytest
import tensorflow as tf

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.proposals import packed
from keras_frcnn.training.saving import unreadable_images_named
from tests.images import random_proposals
from tests.tiny import tiny_dataset


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Three images whose proposals lie in a file."""
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "LARGE", 1)
    dataset = tiny_dataset(tmp_path)
    return ImageSet(dataset, packed.kept("d", 3, lambda: iter(random_proposals(dataset))))


def fail(images):
    """A step with the last two images that fails."""
    with unreadable_images_named(
        SimpleNamespace(done=7), lambda step: images.dataset.images[1:], images
    ):
        raise tf.errors.UnknownError(None, None, "of something else")


def test_other_failures_stay(images):
    with pytest.raises(tf.errors.UnknownError, match="of something else"):
        fail(images)


def test_an_image_that_is_gone(images):
    os.unlink(images.dataset.images[2].path)
    with pytest.raises(InputError, match=r"step 8 cannot read its images\. .*2\.png"):
        fail(images)


def test_proposals_that_are_gone(images):
    os.truncate(images.proposals.path, 16)
    with pytest.raises(InputError, match=r"d\.boxes: was cut off"):
        fail(images)
