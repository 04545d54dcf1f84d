"""The windows of R-CNN's fine-tuning (check B4)."""

import numpy as np
import pytest

from keras_frcnn.baselines.windows import WindowSampler
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.numpy_boxes import pairwise_iou
from tests.tiny import tiny_dataset


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 40, (3, 50, 2))
    proposals = np.concatenate([start, start + rng.uniform(5, 30, (3, 50, 2))], axis=2)
    return ImageSet(tiny_dataset(tmp_path), list(proposals.astype(np.float32)))


def test_windows_have_their_numbers_overlaps_and_classes(images):
    sampler = WindowSampler(images, bg_iou_low=0.1)
    mirrored, seen = [], set()
    for step in range(300):
        found = sampler.draw(step)
        assert (found.labels > 0).sum() == 32 and (found.labels == 0).sum() == 96
        mirrored.append(found.is_mirrored.mean())
        seen |= set(found.images.tolist())
        if step < 20:
            for place, box, label in zip(found.images, found.boxes, found.labels, strict=True):
                record = images.dataset.images[place]
                iou = pairwise_iou(box[None], record.boxes)[0]
                if label:
                    assert iou.max() >= 0.5 and record.labels[iou.argmax()] == label
                else:
                    assert 0.1 <= iou.max() < 0.5
    assert seen == {0, 1, 2}
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.01)


def test_a_step_is_a_function_of_seed_and_number(images):
    first, again = (WindowSampler(images, seed=3).draw(7) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.boxes != WindowSampler(images, seed=4).draw(7).boxes).any()


def test_without_background_there_is_nothing_to_train(tmp_path):
    dataset = tiny_dataset(tmp_path)
    images = ImageSet(dataset, [record.boxes for record in dataset.images])
    with pytest.raises(InputError, match="no background windows"):
        WindowSampler(images)
