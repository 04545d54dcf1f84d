import numpy as np

from keras_frcnn.custom_ops.cases import rows
from keras_frcnn.custom_ops.reference import (
    bin_bounds,
    roi_pool_grad_reference,
    roi_pool_reference,
    round_half_away,
)
from tests.custom_ops.roi_pool_tester import RoIPoolTester


class TestReference(RoIPoolTester):
    error = ValueError

    def pool(self, *arguments):
        return roi_pool_reference(*arguments)

    def gradient(self, features, *rest):
        *arguments, grad_output = rest
        _, argmax = roi_pool_reference(features, *arguments)
        return roi_pool_grad_reference(grad_output, argmax, arguments[0], features.shape)


def test_rounding():
    below_half = np.nextafter(np.float32(0.5), np.float32(0))
    values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, below_half, -below_half, 8388607.5, 1e30, 0.0]
    expected = [1, 2, 3, -1, -2, -3, 0, 0, 8388608, 1e30, 0]
    rounded = [round_half_away(np.float32(value)) for value in values]
    np.testing.assert_array_equal(rounded, np.float32(expected))


def test_bounds_by_hand():
    # 5 cells in 2 bins of 2.5: [0, 3) and [2, 5), a cell shared; moved by 3, cut at 7.
    assert bin_bounds(np.float32(3), np.float32(7), 2, 100) == [(3, 6), (5, 8)]
    assert bin_bounds(np.float32(3), np.float32(7), 2, 7) == [(3, 6), (5, 7)]
    # 57 / 7 in float32 is a little more than a seventh: 7 bins of it end after cell 58.
    assert bin_bounds(np.float32(0), np.float32(56), 7, 100)[-1] == (48, 58)


def test_output_by_hand():
    features = np.float32([[3, 1, 4], [1, 5, 9], [2, 6, 5]]).reshape(1, 3, 3, 1)
    output, argmax = roi_pool_reference(features, rows([0, 0, 0, 2, 2]), 2, 2, 1.0)
    # Bins are [0, 2) and [1, 3) on both axes.
    np.testing.assert_array_equal(output[0, :, :, 0], [[5, 9], [6, 9]])
    np.testing.assert_array_equal(argmax[0, :, :, 0], [[4, 5], [7, 5]])
    grad = roi_pool_grad_reference(
        np.ones_like(output), argmax, rows([0, 0, 0, 2, 2]), (1, 3, 3, 1)
    )
    np.testing.assert_array_equal(grad[0, :, :, 0], [[0, 0, 0], [0, 1, 2], [0, 1, 0]])
