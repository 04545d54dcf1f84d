"""Objects of scaled images, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from keras_frcnn.batches.scaled_objects import scaled_objects
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError


def record(name, height, width, boxes, difficult=()):
    return ImageRecord(
        name, name, height, width,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.ones(len(boxes), np.int32),
        is_difficult=np.isin(np.arange(len(boxes)), difficult),
    )  # fmt: skip


def test_every_image_counts_at_each_scale():
    records = (
        record("a", 300, 500, [[30, 60, 150, 240], [0, 0, 500, 300], [1, 2, 3, 4]], difficult=[2]),
        record("no objects", 100, 100, []),
        record("difficult", 100, 100, [[0, 0, 9, 9]], difficult=[0]),
        record("b", 400, 300, [[10, 20, 30, 40]]),
    )
    found = scaled_objects(Dataset("d", ("one",), records), (600, 150), 800)
    assert found.name == "d" and found.filenames == ("a", "b", "a", "b")
    assert found.sizes.tolist() == [[480, 800], [800, 600], [150, 250], [200, 150]]
    assert found.image.tolist() == [0, 0, 1, 2, 2, 3]
    expected = [
        [48, 96, 240, 384], [0, 0, 800, 480], [20, 40, 60, 80],
        [15, 30, 75, 120], [0, 0, 250, 150], [5, 10, 15, 20],
    ]  # fmt: skip
    assert found.boxes.dtype == np.float32
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-6)
    assert [b.tolist() for b in found.by_image()] == [
        found.boxes[i].tolist() for i in (slice(0, 2), slice(2, 3), slice(3, 5), slice(5, 6))
    ]


def test_each_axis_has_its_own_factor():
    """Both sides are rounded to whole pixels, 333 x 500 to 600 x 901."""
    dataset = Dataset("d", ("one",), (record("a", 333, 500, [[100, 100, 400, 300]]),))
    found = scaled_objects(dataset, (600,), 1000)
    across, down = Fraction(901, 500), Fraction(600, 333)
    expected = [100 * across, 100 * down, 400 * across, 300 * down]
    np.testing.assert_allclose(found.boxes[0], [float(x) for x in expected], rtol=1e-6)


def test_nothing_to_train_on():
    with pytest.raises(InputError, match="d: no image has an object"):
        scaled_objects(Dataset("d", ("one",), (record("a", 9, 9, []),)), (600,), 1000)
