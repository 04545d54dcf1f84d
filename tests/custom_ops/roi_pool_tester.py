"""The tests that every RoI max pooling implementation inherits."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_frcnn.custom_ops.cases import (
    DTYPES,
    Case,
    all_cases,
    distinct_features,
    random_rois,
    same_bits,
)
from keras_frcnn.custom_ops.reference import roi_pool_reference
from tests.custom_ops.onnx_oracle import max_roi_pool

CASES = all_cases()


def case_ids(case):
    return case.name if isinstance(case, Case) else None


@st.composite
def small_cases(draw):
    """Any small map, with values and coordinates of few levels: ties and halves come often."""
    n, height, width, channels, count = (
        draw(st.integers(low, high)) for low, high in [(1, 3), (1, 9), (1, 9), (1, 5), (0, 6)]
    )
    values = draw(
        st.sampled_from([[-1.0, 0.0, -0.0, 2.0], [np.nan, -np.inf, 3.0], list(range(-50, 50))])
    )
    seed = draw(st.integers(0, 2**32 - 1))
    features = np.random.default_rng(seed).choice(np.float32(values), (n, height, width, channels))
    scale = draw(st.sampled_from([1 / 16, 1 / 8, 0.3, 1.0]))
    step = st.integers(-8, 24).map(lambda i: i / 2)
    corners = st.tuples(step, step, step, step).map(lambda box: tuple(v / scale for v in box))
    boxes = draw(
        st.lists(st.tuples(st.integers(0, n - 1), corners), min_size=count, max_size=count)
    )
    rois = np.array([[i, *box] for i, box in boxes], np.float32).reshape(-1, 5)
    bins = st.integers(1, 8)
    return Case("sweep", features, rois, draw(bins), draw(bins), scale)


def scattered(grad_output, argmax, rois, features_shape):
    """The gradient by definition: every output's gradient added at its argmax."""
    n, height, width, channels = features_shape
    total = np.zeros((n, height * width, channels), np.float64)
    k, ph, pw, c = np.nonzero(argmax >= 0)
    image = rois[k, 0].astype(int)
    np.add.at(total, (image, argmax[k, ph, pw, c], c), grad_output[k, ph, pw, c])
    return total.reshape(features_shape)


class RoIPoolTester:
    """Subclasses say how to pool and how to find the gradient; the rest is the same for all."""

    dtypes = tuple(DTYPES)
    error = tf.errors.InvalidArgumentError

    def pool(self, features, rois, pooled_height, pooled_width, spatial_scale):
        """`(output, argmax)` as NumPy arrays; argmax None where there is none."""
        raise NotImplementedError

    def gradient(self, features, rois, pooled_height, pooled_width, spatial_scale, grad_output):
        """The gradient of sum(output * grad_output) with respect to `features`."""
        raise NotImplementedError

    def check(self, case):
        expected, expected_argmax = roi_pool_reference(case.features, *case.arguments)
        output, argmax = self.pool(case.features, *case.arguments)
        assert same_bits(output, expected)
        if argmax is not None:
            np.testing.assert_array_equal(argmax, expected_argmax, strict=True)

    @pytest.mark.parametrize("case", CASES, ids=case_ids)
    def test_definition(self, case):
        self.check(case)

    @pytest.mark.parametrize("case", [CASES[0], *CASES[10:17]], ids=case_ids)
    def test_definition_in_every_dtype(self, case):
        for dtype in self.dtypes:
            self.check(case.with_dtype(dtype))

    @pytest.mark.parametrize("case", [case for case in CASES if case.oracle], ids=case_ids)
    def test_onnx_runtime(self, case):
        expected = max_roi_pool(case.features, *case.arguments)
        output, _ = self.pool(case.features, *case.arguments)
        assert same_bits(output, expected)

    def test_sweep(self):
        @settings(max_examples=60, deadline=None)
        @given(case=small_cases())
        def sweep(case):
            self.check(case)

        sweep()

    @pytest.mark.parametrize("case", [*CASES[:18], CASES[-4]], ids=case_ids)
    def test_gradient_is_a_scatter(self, case):
        # Whole numbers, whose sums are the same in any order.
        _, argmax = roi_pool_reference(case.features, *case.arguments)
        grad_output = np.random.default_rng(0).integers(-8, 9, argmax.shape).astype(np.float32)
        grad = self.gradient(case.features, *case.arguments, grad_output)
        expected = scattered(grad_output, argmax, case.rois, case.features.shape)
        np.testing.assert_array_equal(grad, expected.astype(np.float32), strict=True)

    def test_gradient_dtypes(self):
        distinct = Case("", distinct_features((2, 5, 6, 4)), random_rois(7, 2, 80, 96), 3, 4)
        for dtype in self.dtypes:
            case = distinct.with_dtype(dtype)
            _, argmax = roi_pool_reference(case.features, *case.arguments)
            grad_output = np.full(argmax.shape, 0.5, case.features.dtype)
            grad = self.gradient(case.features, *case.arguments, grad_output)
            expected = scattered(grad_output, argmax, case.rois, case.features.shape)
            assert same_bits(grad, expected.astype(case.features.dtype))

    def test_half_gradients_are_summed_in_float32(self):
        # 1 + 512 * 2^-10 is 1.5; summed in bfloat16 or float16 every small term would vanish.
        for dtype in set(self.dtypes) & {"float16", "bfloat16"}:
            features = np.ones((1, 1, 1, 1), DTYPES[dtype])
            rois = np.zeros((513, 5), np.float32)
            grad_output = np.full((513, 1, 1, 1), 2.0**-10, DTYPES[dtype])
            grad_output[0] = 1
            assert self.gradient(features, rois, 1, 1, 1.0, grad_output).item() == 1.5

    def test_gradient_of_subnormal_halves(self):
        # Below 2^-14 a number is subnormal in float16, but not in the float32 of the sums.
        if "float16" not in self.dtypes:
            pytest.skip("no float16")
        features = np.zeros((1, 1, 1, 3), np.float16)
        grad_output = np.float16([2.0**-24, -3e-6, 6.1e-5]).reshape(1, 1, 1, 3)
        grad = self.gradient(features, np.zeros((1, 5), np.float32), 1, 1, 1.0, grad_output)
        assert same_bits(grad, grad_output)

    def test_gradient_is_a_finite_difference(self):
        if "float64" not in self.dtypes:
            pytest.skip("float32 differences are too coarse")
        features = distinct_features((2, 5, 6, 2))
        arguments = random_rois(5, 2, 80, 96), 2, 3, 1 / 16
        weights = np.random.default_rng(1).normal(size=(5, 2, 3, 2))
        # Every feature moved either way, all in one batch: pairs of images, with RoIs for each.
        moves = 0.25 * np.eye(features.size).reshape(-1, *features.shape)
        moved = np.concatenate([features + moves, features - moves])
        rois = np.tile(arguments[0], (len(moved), 1))
        rois[:, 0] += np.repeat(np.arange(len(moved)) * 2, 5)
        output, _ = self.pool(moved.reshape(-1, *features.shape[1:]), rois, *arguments[1:])
        total = (output.reshape(len(moved), *weights.shape) * weights).sum(axis=(1, 2, 3, 4))
        up, down = total.reshape(2, *features.shape)
        difference = (up - down) / 0.5
        np.testing.assert_allclose(
            self.gradient(features, *arguments, weights), difference, atol=1e-9
        )

    @pytest.mark.parametrize(
        "row", [[2, 0, 0, 1, 1], [-1, 0, 0, 1, 1], [-0.5, 0, 0, 1, 1], [np.nan, 0, 0, 1, 1]]
    )
    def test_image_out_of_range(self, row):
        rois = np.zeros((5, 5), np.float32)
        rois[3] = row
        with pytest.raises(self.error, match=r"(?s)row.*3.*batch index"):
            self.pool(np.zeros((2, 4, 4, 1), np.float32), rois, 2, 2, 1.0)

    @pytest.mark.parametrize("column", [1, 2, 3, 4])
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
    def test_coordinate_is_not_finite(self, column, value):
        rois = np.zeros((5, 5), np.float32)
        rois[2, column] = value
        with pytest.raises(self.error, match=r"(?s)row.*2.*finite"):
            self.pool(np.zeros((2, 4, 4, 1), np.float32), rois, 2, 2, 4.0)
