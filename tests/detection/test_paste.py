import cv2
import numpy as np
import pytest

from keras_frcnn import run_length
from keras_frcnn.data.load import load
from keras_frcnn.detection.paste import paste
from keras_frcnn.models.mask_targets import cut_masks
from tests.shared_data import shared_data


def definition(mask, box, height, width):
    """Pixel by pixel, with zeros around the mask."""
    x1, y1, x2, y2 = map(float, box)
    m = len(mask)
    padded = np.pad(np.float64(mask), 1)
    pixels = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            u = (x + 0.5 - x1) / (x2 - x1) * m + 0.5  # in the padded mask
            v = (y + 0.5 - y1) / (y2 - y1) * m + 0.5
            if not (0 <= u <= m + 1 and 0 <= v <= m + 1):
                continue
            i, j = min(int(v), m), min(int(u), m)
            fv, fu = v - i, u - j
            corners = padded[i : i + 2, j : j + 2]
            value = np.float64([1 - fv, fv]) @ corners @ np.float64([1 - fu, fu])
            pixels[y, x] = value >= 0.5 - 1e-9
    return pixels


BOXES = [(1, 1, 3, 3), (2.3, 1.7, 9.4, 7.2), (-4, -3.5, 6, 20), (3.2, 3.2, 3.4, 8), (20, 2, 30, 4)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("m", [1, 2, 28])
def test_by_its_definition(box, m):
    mask = np.random.default_rng(m).random((m, m))
    np.testing.assert_array_equal(paste(mask, box, 10, 12), definition(mask, box, 10, 12))


def columns(box, mask=((1, 1), (1, 1)), width=6):
    return np.flatnonzero(paste(np.float32(mask), box, 6, width).any(axis=0)).tolist()


def test_the_worked_table():
    assert columns((1, 1, 3, 3)) == [1, 2]
    assert paste(np.ones((2, 2)), (1, 1, 3, 3), 6, 6).sum() == 4
    assert columns((1.5, 1, 3, 3)) == [1, 2]  # the centre of column 1 is on the edge
    assert columns((0, 0, 4, 1), [[1, 0], [1, 0]]) == [0, 1]


@pytest.mark.parametrize("box", [(2, 2, 2, 5), (2, 2, 1, 5), (-9, -9, -1, -1), (99, 0, 120, 5)])
def test_nothing_to_paste(box):
    assert not paste(np.ones((28, 28)), box, 6, 6).any()


@pytest.mark.parametrize("seed", range(5))
def test_ones_set_the_pixels_whose_centres_are_in_the_box(seed):
    rng = np.random.default_rng(seed)
    x1, y1 = rng.uniform(-5, 20, 2)
    x2, y2 = np.add(rng.uniform(0.1, 30, 2), (x1, y1))
    y, x = np.mgrid[:30, :40] + 0.5
    inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
    np.testing.assert_array_equal(paste(np.ones((28, 28)), (x1, y1, x2, y2), 30, 40), inside)


def test_enlarged_it_is_opencv_s_linear_resize():
    # Away from the rim, where OpenCV repeats the edge and this fades to zero.
    mask = cv2.GaussianBlur(np.random.default_rng(0).random((28, 28), np.float32), (9, 9), 3)
    mask = (mask - mask.min()) / (mask.max() - mask.min())
    resized = cv2.resize(mask, (140, 84), interpolation=cv2.INTER_LINEAR)
    ours = paste(mask, (10, 20, 150, 104), 120, 160)[20:104, 10:150]
    sure = np.abs(resized - 0.5)[3:-3, 3:-3] > 1e-4
    np.testing.assert_array_equal(ours[3:-3, 3:-3][sure], (resized >= 0.5)[3:-3, 3:-3][sure])


# Mean IoU of what 28 x 28 cells keep of an object: the acceptance of the specification.
@pytest.mark.parametrize(
    "name, split, least",
    [("coco128", "val", 0.960), ("dsb2018", "test", 0.990), ("microcontroller", "val", 0.960)],
)
def test_cut_and_pasted_an_object_comes_back(name, split, least):
    dataset = load(shared_data(name), split)
    found = []
    for record in dataset.images[:: 1 if name == "microcontroller" else 5]:
        for box, counts, crowd in zip(record.boxes, record.masks, record.is_difficult, strict=True):
            if crowd:
                continue
            bitmap = run_length.to_bitmap(counts, record.height, record.width)
            mask = cut_masks(bitmap[None], box[None], 28).numpy()[0]
            pasted = paste(mask, box, record.height, record.width)
            found.append((pasted & (bitmap > 0)).sum() / (pasted | (bitmap > 0)).sum())
    assert np.mean(found) >= least, np.mean(found)
