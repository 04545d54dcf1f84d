import cv2
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.proposals.selective_search import SelectiveSearch


def scene(height=120, width=160, seed=0):
    """Coloured rectangles on a noisy ground, uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 130, (height, width, 3)).astype(np.uint8)
    for _ in range(8):
        x, y = rng.integers(0, width - 30), rng.integers(0, height - 30)
        w, h = rng.integers(12, 60, 2)
        image[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return image


def opencv_boxes(bgr, mode="Fast", **parameters):
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(bgr)
    getattr(search, f"switchToSelectiveSearch{mode}")(**parameters)
    return {(x, y, x + w, y + h) for x, y, w, h in search.process().tolist()}


def as_set(boxes):
    return set(map(tuple, boxes.tolist()))


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_the_boxes_are_those_of_opencv_with_edges_at_pixel_borders(mode):
    image = scene()
    method = SelectiveSearch(mode, max_boxes=10**6, min_size=1)
    boxes = method(image)
    expected = opencv_boxes(
        np.ascontiguousarray(image[:, :, ::-1]),
        mode.capitalize(),
        base_k=method.k,
        inc_k=method.k,
        sigma=method.sigma,
    )
    assert boxes.dtype == np.float32
    assert as_set(boxes) == expected
    assert len(boxes) == len(expected)


def test_a_rectangle_is_found_exactly():
    image = np.full((100, 140, 3), (40, 40, 40), np.uint8)
    image[20:60, 30:90] = (200, 60, 20)
    boxes = SelectiveSearch(sigma=0.1)(image)
    assert (30, 20, 90, 60) in as_set(boxes)


def test_the_result_depends_on_the_image_alone():
    method = SelectiveSearch(max_boxes=50)
    first = method(scene(seed=1))
    method(scene(seed=2))  # moves the state of rand()
    np.testing.assert_array_equal(method(scene(seed=1)), first)
    assert len(first) == 50


def test_the_cut_keeps_boxes_of_all_sizes():
    image = scene(200, 300)
    everything = SelectiveSearch(min_size=1, max_boxes=10**6)(image)
    some = SelectiveSearch(min_size=1, max_boxes=len(everything) // 2)(image)
    assert as_set(some) < as_set(everything)

    def median_area(boxes):
        return np.median(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))

    assert 0.5 < median_area(some) / median_area(everything) < 2


def test_min_size_and_max_boxes():
    boxes = SelectiveSearch(min_size=20, max_boxes=30)(scene())
    assert 0 < len(boxes) <= 30
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 20


@pytest.mark.parametrize("mode", ["fast", "quality"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 900), (900, 1), (3, 700), (5000, 2), (11, 11)]
)
def test_tiny_and_thin_images_have_proposals_inside(mode, shape):
    rng = np.random.default_rng(0)
    for image in (
        np.zeros((*shape, 3), np.uint8),
        rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    ):
        boxes = SelectiveSearch(mode)(image)
        assert len(boxes)
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [shape[1], shape[0]]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    # Nothing is 12 pixels wide and high here: the whole image stands in.
    np.testing.assert_array_equal(boxes, [[0, 0, shape[1], shape[0]]])


def test_a_large_image_is_searched_small_and_its_boxes_scaled_back():
    small = np.full((300, 400, 3), 50, np.uint8)
    small[60:180, 100:300] = (220, 30, 90)
    large = cv2.resize(small, (4000, 3000), interpolation=cv2.INTER_NEAREST)
    boxes = SelectiveSearch(max_side=400, sigma=0.1)(large)
    assert (1000, 600, 3000, 1800) in as_set(boxes)
    assert (boxes[:, 2:] <= [4000, 3000]).all()
    assert boxes[:, 2:].max(axis=0).tolist() == [4000, 3000]


def test_odd_scales_stay_inside_and_distinct():
    boxes = SelectiveSearch(max_side=97)(scene(211, 307))
    assert (boxes >= 0).all() and (boxes[:, 2:] <= [307, 211]).all()
    assert len(as_set(boxes)) == len(boxes)
    assert boxes[:, 2:].max(axis=0).tolist() == [307, 211]


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "slow"},
        {"max_boxes": 0},
        {"min_size": 0},
        {"max_side": 3},
        {"max_boxes": 10.5},
        {"k": 0},
        {"sigma": -1.0},
    ],
)
def test_wrong_parameters_are_named(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        SelectiveSearch(**arguments)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(InputError, match="uint8 RGB"):
        SelectiveSearch()(image)


def test_the_cache_key_tells_every_parameter():
    keys = {
        SelectiveSearch(**arguments).cache_key
        for arguments in (
            {},
            {"mode": "quality"},
            {"max_boxes": 7},
            {"min_size": 7},
            {"max_side": 77},
            {"k": 7},
            {"sigma": 0.7},
        )
    }
    assert len(keys) == 7
    assert SelectiveSearch().cache_key == SelectiveSearch(mode="fast").cache_key
