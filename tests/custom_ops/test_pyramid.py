"""Pooling on several grids at once: every level must be what it is alone."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_frcnn.custom_ops import portable_ops, roi_pyramid_pool
from keras_frcnn.custom_ops.cases import DTYPES, all_cases, random_features, random_rois, same_bits
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference
from tests.custom_ops.roi_pool_tester import case_ids, small_cases

LEVELS = (1, 2, 3, 6)
CASES = all_cases()


@pytest.fixture(params=["compiled", "portable"])
def implementation(request):
    with portable_ops() if request.param == "portable" else contextlib.nullcontext():
        yield request.param


def expected_pyramid(features, rois, levels, scale):
    """Output and argmax [K, B, C] of the levels one after another, by the reference."""
    pools = [roi_pool_reference(features, rois, level, level, scale) for level in levels]
    return [
        np.concatenate([x.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3]) for x in side], 1)
        for side in zip(*pools, strict=True)
    ]


def test_gradient_leaves_the_argmax_where_it_is():
    # On a GPU, whatever reshapes an int32 tensor takes it to host memory and back.
    def gradient(features, rois):
        output, _ = roi_pyramid_pool(features, rois, LEVELS, 1 / 16)
        return tf.gradients(output, features)

    function = tf.function(gradient, autograph=False)
    specs = tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, 5])
    operations = function.get_concrete_function(*specs).graph.get_operations()
    (pool,) = [op for op in operations if op.type == "KerasFrcnn>RoiPyramidPool"]
    assert [op.type for op in pool.outputs[1].consumers()] == ["KerasFrcnn>RoiPoolGrad"]


def check(case, levels=LEVELS):
    expected, expected_argmax = expected_pyramid(
        case.features, case.rois, levels, case.spatial_scale
    )
    output, argmax = roi_pyramid_pool(case.features, case.rois, levels, case.spatial_scale)
    assert same_bits(output.numpy(), expected)
    np.testing.assert_array_equal(argmax.numpy(), expected_argmax, strict=True)


@pytest.mark.parametrize("case", CASES, ids=case_ids)
def test_definition(case, implementation):
    check(case)


@pytest.mark.parametrize("dtype", DTYPES)
def test_definition_in_every_dtype(dtype, implementation):
    for case in [CASES[0], *CASES[10:17]]:
        check(case.with_dtype(dtype))


def test_sweep(implementation):
    @settings(max_examples=60, deadline=None)
    @given(case=small_cases(), levels=st.lists(st.integers(1, 7), min_size=1, max_size=4))
    def sweep(case, levels):
        check(case, levels)

    sweep()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient(dtype, implementation):
    # Whole numbers, whose sums are the same in any order.
    features = random_features((2, 9, 11, 5)).astype(DTYPES[dtype])
    rois = random_rois(6, 2, 144, 176)
    _, argmax = expected_pyramid(features, rois, LEVELS, 1 / 16)
    grad_output = np.random.default_rng(0).integers(-8, 9, argmax.shape).astype(DTYPES[dtype])
    expected = roi_pool_grad_reference(
        grad_output[:, :, None], argmax[:, :, None], rois, features.shape
    )
    features = tf.constant(features)

    def gradient(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            output, _ = roi_pyramid_pool(features, rois, LEVELS, 1 / 16)
        return tape.gradient(output, features, grad_output)

    assert same_bits(gradient(features).numpy(), expected)
    assert same_bits(tf.function(gradient)(features).numpy(), expected)


def test_graph_with_unknown_dimensions(implementation):
    features, rois = random_features((2, 9, 9, 5)), random_rois(6, 2, 144, 144)
    expected = expected_pyramid(features, rois, LEVELS, 1 / 16)
    signature = [tf.TensorSpec([None] * 4), tf.TensorSpec([None, 5])]
    for index in (0, 1):
        function = tf.function(
            lambda f, r, index=index: roi_pyramid_pool(f, r, LEVELS, 1 / 16)[index],
            input_signature=signature,
            autograph=False,
        )
        assert same_bits(function(features, rois).numpy(), expected[index])
        assert same_bits(function(features, rois[:0]).numpy(), expected[index][:0])


def test_shape_is_inferred():
    def pool(features, rois):
        return roi_pyramid_pool(features, rois, LEVELS, 1 / 16)

    function = tf.function(pool, autograph=False).get_concrete_function(
        tf.TensorSpec([None, None, None, 8]), tf.TensorSpec([None, 5])
    )
    for output in function.outputs:
        assert output.shape.as_list() == [None, 50, 8]


@pytest.mark.parametrize(
    ("levels", "message"), [((), "nothing"), ((2, 0), "0 x 0"), ((1 << 16,), "65536")]
)
def test_bad_levels(levels, message, implementation):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        roi_pyramid_pool(tf.zeros([1, 4, 4, 1]), tf.zeros([1, 5]), levels, 1.0)


def test_a_bad_row_is_named(implementation):
    rois = np.zeros((5, 5), np.float32)
    rois[3, 2] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)row.*3.*finite"):
        roi_pyramid_pool(tf.zeros([1, 4, 4, 1]), rois, LEVELS, 1.0)
