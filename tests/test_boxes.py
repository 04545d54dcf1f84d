import numpy as np
import pytest

from keras_frcnn import boxes as box_ops
from keras_frcnn import numpy_boxes

both = pytest.mark.parametrize(
    "pairwise_iou",
    [box_ops.pairwise_iou, numpy_boxes.pairwise_iou],
    ids=["TensorFlow", "NumPy"],
)


def iou_by_counting(a, b):
    """IoU of integer boxes by counting pixels on a grid."""
    grid = np.zeros((2, 40, 40), bool)
    for mask, (x1, y1, x2, y2) in zip(grid, (a, b), strict=True):
        mask[y1:y2, x1:x2] = True
    union = (grid[0] | grid[1]).sum()
    return (grid[0] & grid[1]).sum() / union if union else 0.0


def random_boxes(rng, n, size=40):
    corners = np.sort(rng.integers(0, size, (n, 2, 2)), axis=1)
    return corners.reshape(n, 4)


@both
def test_pairwise_iou_counts_pixels(pairwise_iou):
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 30), random_boxes(rng, 20)
    expected = [[iou_by_counting(x, y) for y in b] for x in a]
    got = pairwise_iou(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@both
@pytest.mark.parametrize("a, b", [(0, 3), (3, 0), (0, 0)])
def test_pairwise_iou_of_no_boxes_is_empty(pairwise_iou, a, b):
    got = pairwise_iou(np.zeros((a, 4), np.float32), np.zeros((b, 4), np.float32))
    assert got.shape == (a, b)


@both
def test_pairwise_iou_of_boxes_without_area_is_zero(pairwise_iou):
    boxes = np.array([[3, 3, 3, 3], [9, 2, 4, 8], [9, 8, 4, 2]], np.float32)
    assert not np.any(pairwise_iou(boxes, boxes))


def test_pairwise_iou_in_numpy_is_exact_to_float64():
    # In float32 the difference of these coordinates would lose the last digits of the width.
    boxes = np.float32([[0.1, 0, 1000.1, 1], [0, 0, 1000, 1]])
    width = float(boxes[0, 2]) - float(boxes[0, 0])
    common = 1000 - float(boxes[0, 0])
    expected = common / (width + 1000 - common)
    assert numpy_boxes.pairwise_iou(boxes, boxes)[0, 1] == pytest.approx(expected, rel=1e-15)


def test_encode_matches_a_hand_worked_table():
    # A RoI of 10 x 20 at (10, 10), centre (15, 20); the object of 20 x 10, centre (20, 25).
    roi = np.array([[10, 10, 20, 30]], np.float32)
    gt = np.array([[10, 20, 30, 30]], np.float32)
    expected = [[5 / 10, 5 / 20, np.log(2), np.log(0.5)]]
    np.testing.assert_allclose(box_ops.encode(roi, gt), expected, rtol=1e-6)


def test_decode_inverts_encode():
    rng = np.random.default_rng(1)
    corner = rng.uniform(-50, 500, (100, 2, 2))
    size = rng.uniform(8, 400, (100, 2, 2))
    rois, gt = np.concatenate([corner, corner + size], axis=-1).astype(np.float32).swapaxes(0, 1)
    np.testing.assert_allclose(box_ops.decode(rois, box_ops.encode(rois, gt)), gt, atol=1e-2)


def test_decode_keeps_wild_predictions_finite():
    roi = np.array([[0, 0, 16, 16]], np.float32)
    box = box_ops.decode(roi, np.array([[0, 0, 1000, 1000]], np.float32)).numpy()
    np.testing.assert_allclose(box, [[-492, -492, 508, 508]], rtol=1e-5)


def test_clip_cuts_all_four_sides():
    boxes = np.array([[-5, -6, 200, 100], [30, 20, 40, 25], [150, 90, 160, 95]], np.float32)
    expected = [[0, 0, 100, 50], [30, 20, 40, 25], [100, 50, 100, 50]]
    np.testing.assert_array_equal(box_ops.clip(boxes, np.array([50, 100])), expected)


def test_flip_mirrors_the_pixels_inside():
    image = np.arange(40 * 40).reshape(40, 40)
    box = np.array([3, 5, 17, 11], np.float32)
    x1, y1, x2, y2 = box_ops.flip_horizontally(box, 40.0).numpy().astype(int)
    np.testing.assert_array_equal(image[:, ::-1][y1:y2, x1:x2], image[5:11, 3:17][:, ::-1])
