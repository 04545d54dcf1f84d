"""RoIAlign's op and its portable version against the NumPy loop, and in graphs."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_frcnn.custom_ops import portable_ops, roi_align
from keras_frcnn.custom_ops.align_cases import all_cases, random_cases, same
from keras_frcnn.custom_ops.align_reference import (
    roi_align_grad_reference,
    roi_align_reference,
)
from keras_frcnn.custom_ops.cases import DTYPES, random_features, random_rois, rows
from keras_frcnn.custom_ops.compiler import NoCompilerError, find_compiler
from keras_frcnn.custom_ops.library import load_library

CASES = all_cases()
INVALID = tf.errors.InvalidArgumentError


def compiled(*arguments, **options):
    return roi_align(*arguments, **options)


def portable(*arguments, **options):
    with portable_ops():
        return roi_align(*arguments, **options)


def has_compiler():
    try:
        find_compiler()
    except NoCompilerError:
        return False
    return True


@pytest.fixture(params=[compiled, portable], ids=["op", "portable"])
def align(request):
    """`roi_align`, by each of its implementations."""
    if request.param is compiled and not has_compiler():
        pytest.skip("there is no C++ compiler")
    return request.param


def applied(align, case, ratio, aligned):
    """The output and, of a gradient of whole eighths, that of the maps."""
    maps = [tf.constant(values) for values in case.maps]
    with tf.GradientTape() as tape:
        tape.watch(maps)
        output = align(maps, case.rois, *case.size, case.scales, ratio, aligned, case.levels)
    return output, functools.partial(tape.gradient, output, maps)


def ids(value):
    return getattr(value, "name", None)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_definition(align, case):
    for aligned in (True, False):
        for ratio in (0, 1, 2, 3):
            arguments = *case.size, case.scales, ratio, aligned
            expected = roi_align_reference(case.maps, case.rois, case.levels, *arguments)
            output, _ = applied(align, case, ratio, aligned)
            assert same(output.numpy(), expected), (ratio, aligned)


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "float32"])
def test_every_dtype(align, dtype):
    for case in [case.with_dtype(dtype) for case in CASES[:5] + CASES[-1:]]:
        for ratio, aligned in ((0, True), (2, False), (3, True)):
            arguments = *case.size, case.scales, ratio, aligned
            expected = roi_align_reference(case.maps, case.rois, case.levels, *arguments)
            output, gradient = applied(align, case, ratio, aligned)
            assert same(output.numpy(), expected), (case.name, ratio, aligned)
            weights = random_features(expected.shape, seed=3).astype(DTYPES[dtype])
            grads = gradient(weights)
            shapes = [m.shape for m in case.maps]
            wanted = roi_align_grad_reference(
                weights, case.rois, case.levels, shapes, case.scales, ratio, aligned
            )
            for found, right in zip(grads, wanted, strict=True):
                if align is compiled:
                    assert same(found.numpy(), right), (case.name, ratio, aligned)
                else:
                    wide = np.asarray(found.numpy(), np.float64), np.asarray(right, np.float64)
                    np.testing.assert_allclose(*wide, rtol=0.01, atol=0.02)


def test_random_maps(align):
    for case in random_cases(12, seed=7):
        for ratio, aligned in ((0, True), (0, False), (2, True)):
            arguments = *case.size, case.scales, ratio, aligned
            expected = roi_align_reference(case.maps, case.rois, case.levels, *arguments)
            output, _ = applied(align, case, ratio, aligned)
            assert same(output.numpy(), expected), (case.name, ratio, aligned)


@pytest.mark.parametrize("case", [c for c in CASES if c.name != "not a number"], ids=ids)
def test_gradient(align, case):
    for ratio, aligned in ((0, True), (0, False), (2, True), (3, False)):
        output, gradient = applied(align, case, ratio, aligned)
        weights = random_features(output.shape, seed=3)
        shapes = [m.shape for m in case.maps]
        expected = roi_align_grad_reference(
            weights, case.rois, case.levels, shapes, case.scales, ratio, aligned
        )
        for found, right in zip(gradient(weights), expected, strict=True):
            if align is compiled:
                assert same(found.numpy(), right), (ratio, aligned)
            else:  # TensorFlow adds what meets in a cell in an order of its own
                np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)


def test_gradient_is_a_finite_difference(align):
    # The op is linear, so that a step of one is exact but for rounding.
    features = np.random.default_rng(0).normal(size=(2, 4, 5, 2))
    rois = random_rois(5, 2, 70, 90)
    weights = np.random.default_rng(1).normal(size=(5, 2, 3, 2))
    map_ = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(map_)
        total = tf.reduce_sum(align(map_, rois, 2, 3, 1 / 16) * weights)
    gradient = tape.gradient(total, map_).numpy()
    for place in np.ndindex(*features.shape):
        moved = features.copy()
        moved[place] += 1
        difference = tf.reduce_sum(align(moved, rois, 2, 3, 1 / 16) * weights) - total
        np.testing.assert_allclose(gradient[place], difference, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_the_gradient_is_the_op_itself(align):
    features, rois = tf.constant(random_features((1, 6, 6, 3))), random_rois(4, 1, 96, 96)
    weights = tf.constant(random_features((4, 2, 2, 3), seed=1))
    direction = random_features((1, 6, 6, 3), seed=2)
    with tf.GradientTape() as outer:
        outer.watch(weights)
        with tf.GradientTape() as inner:
            inner.watch(features)
            output = align(features, rois, 2, 2, 1 / 16, 2)
        gradient = inner.gradient(output, features, weights)
    again = outer.gradient(gradient, weights, direction)
    np.testing.assert_allclose(again, align(direction, rois, 2, 2, 1 / 16, 2), atol=1e-5)


def test_weights_add_up_to_the_share_of_samples_inside(align):
    features = tf.zeros([1, 5, 6, 1])
    rois = rows([0, -2, 1, 4, 5], [0, 5, 4, 9, 9], [0, 1, 1, 4, 4])
    with tf.GradientTape() as tape:
        tape.watch(features)
        output = align(features, rois, 1, 1, 1.0, 4)
    inside = align(tf.ones([1, 5, 6, 1]), rois, 1, 1, 1.0, 4)
    total = tf.reduce_sum(tape.gradient(output, features))
    np.testing.assert_allclose(total, tf.reduce_sum(inside), rtol=1e-6)
    assert inside.numpy().ravel()[2] == 1 and 0 < inside.numpy().ravel()[1] < 1


def test_rois_and_levels_get_no_gradient(align):
    rois = tf.constant(random_rois(3, 1, 64, 64))
    with tf.GradientTape() as tape:
        tape.watch(rois)
        output = align(tf.ones([1, 4, 4, 2]), rois, 2, 2, 1 / 16)
    assert tape.gradient(output, rois) is None


def test_several_levels_are_each_map_by_itself(align):
    (case,) = (case for case in CASES if case.name == "levels")
    together = align(case.maps, case.rois, *case.size, case.scales, 2, levels=case.levels).numpy()
    for level, (values, scale) in enumerate(zip(case.maps, case.scales, strict=True)):
        own = case.levels == level
        alone = align(values, case.rois[own], *case.size, scale, 2).numpy()
        assert same(together[own], alone)


def test_a_graph_of_unknown_dimensions(align):
    function = tf.function(
        lambda features, rois: align(features, rois, 3, 5, 1 / 16),
        input_signature=[tf.TensorSpec([None] * 4), tf.TensorSpec([None, 5])],
        autograph=False,
    )
    case = CASES[0]
    expected = roi_align_reference(case.maps, case.rois, case.levels, 3, 5, case.scales)
    assert same(function(case.maps[0], case.rois).numpy(), expected)
    features = tf.constant(case.maps[0])
    with tf.GradientTape() as tape:
        tape.watch(features)
        output = function(features, case.rois)
    weights = random_features(expected.shape, seed=1)
    (wanted,) = roi_align_grad_reference(
        weights, case.rois, case.levels, [features.shape], case.scales
    )
    np.testing.assert_allclose(tape.gradient(output, features, weights), wanted, atol=1e-5)
    static = function.get_concrete_function().structured_outputs.shape
    assert static.as_list() == [None, 3, 5, None]


@pytest.mark.parametrize(
    "row, message",
    [
        ([-1, 0, 0, 1, 1], "batch index"),
        ([2, 0, 0, 1, 1], "batch index"),
        ([np.nan, 0, 0, 1, 1], "batch index"),
        ([0, np.nan, 0, 1, 1], "finite"),
        ([0, 0, np.inf, 1, 1], "finite"),
        ([0, 0, 0, -np.inf, 1], "finite"),
        ([0, 0, 0, 1, 3e38], "finite|samples"),
        ([0, 0, 0, 1e9, 1], "samples"),
    ],
)
@pytest.mark.parametrize("aligned", [True, False])
def test_rows_that_cannot_be_used(align, row, message, aligned):
    rois = np.zeros((5, 5), np.float32)
    rois[3] = row
    with pytest.raises(INVALID, match=rf"(?s)row.*3.*({message})"):
        align(np.zeros((2, 4, 4, 1), np.float32), rois, 2, 2, 4.0, 0, aligned)


@pytest.mark.parametrize("level", [-1, 2])
def test_levels_that_are_none(align, level):
    maps = [tf.zeros([1, 4, 4, 1])] * 2
    with pytest.raises(INVALID, match=r"(?s)row.*1.*level"):
        align(maps, np.zeros((3, 5)), 2, 2, [1.0, 0.5], levels=[0, level, 1])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"features": tf.zeros([4, 4, 1])}, r"features must be \[N"),
        ({"rois": np.zeros((2, 4))}, r"rois must be \[K"),
        ({"levels": [0]}, r"levels must be \[K"),
        ({"pooled_height": 0}, "pooled size"),
        ({"pooled_width": 1 << 21}, "pooled size"),
        ({"spatial_scale": 0.0}, "spatial_scale must be positive"),
        ({"spatial_scale": np.nan}, "spatial_scale must be positive"),
        ({"spatial_scale": [1.0, 2.0]}, "spatial_scale must be 1 numbers"),
        ({"sampling_ratio": -2}, "sampling_ratio"),
        ({"sampling_ratio": 65537}, "sampling_ratio"),
        (
            {"features": [tf.zeros([1, 4, 4, 1]), tf.zeros([1, 2, 2, 3])], "spatial_scale": [1, 2]},
            "one number of channels",
        ),
    ],
)
def test_arguments_that_cannot_be_used(align, change, message):
    good = {
        "features": tf.zeros([1, 4, 4, 1]),
        "rois": np.zeros((2, 5)),
        "pooled_height": 2,
        "pooled_width": 2,
        "spatial_scale": 1.0,
    }
    assert align(**good).shape == (2, 2, 2, 1)
    with pytest.raises(INVALID, match=message):
        align(**{**good, **change})


@pytest.mark.parametrize("ratio", [-1, 0])
def test_adaptive_has_two_names(align, ratio):
    features, rois = random_features((1, 9, 9, 2)), random_rois(3, 1, 144, 144)
    expected = roi_align_reference([features], rois, [0] * 3, 2, 2, [1 / 16])
    assert same(align(features, rois, 2, 2, 1 / 16, ratio).numpy(), expected)


@pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")
def test_is_the_compiled_op_and_checks_what_it_is_given():
    # The raw ops, past the checks in Python.
    library = load_library()
    asked = {"pooled_height": 2, "pooled_width": 2, "spatial_scales": [1.0]}
    good = [[tf.zeros([1, 4, 4, 3])], tf.zeros([2, 5]), tf.zeros([2], tf.int32)]
    assert library.keras_frcnn_roi_align(*good, **asked).shape == (2, 2, 2, 3)
    for place, wrong in (
        (0, [tf.zeros([4, 4, 3])]),
        (1, tf.zeros([2, 4])),
        (2, tf.zeros([3], tf.int32)),
    ):
        with pytest.raises(INVALID, match="must be"):
            library.keras_frcnn_roi_align(*good[:place], wrong, *good[place + 1 :], **asked)
    for change in ({"spatial_scales": [1.0, 2.0]}, {"spatial_scales": [np.inf]}):
        with pytest.raises(INVALID, match="spatial_scale"):
            library.keras_frcnn_roi_align(*good, **{**asked, **change})
    with pytest.raises(INVALID, match="sampling_ratio"):
        library.keras_frcnn_roi_align(*good, **asked, sampling_ratio=-3)

    def grad(shape=(1, 4, 4, 3), grad_output=(2, 2, 2, 3), rois=(2, 5)):
        return library.keras_frcnn_roi_align_grad(
            grad_output=tf.zeros(grad_output),
            rois=tf.zeros(rois),
            levels=tf.zeros([rois[0]], tf.int32),
            shapes=[tf.constant(shape, tf.int32)],
            spatial_scales=[1.0],
        )

    assert grad()[0].shape == (1, 4, 4, 3)
    wrong = [{"shape": (4, 4, 3)}, {"shape": (1, -4, 4, 3)}, {"shape": (1, 4, 4, 2)}]
    for change in [*wrong, {"grad_output": (2, 2, 3)}, {"grad_output": (3, 2, 2, 3)}]:
        with pytest.raises(INVALID):
            grad(**change)
    graph = (
        tf.function(lambda f, r: roi_align(f, r, 2, 2, 1.0), autograph=False)
        .get_concrete_function(tf.TensorSpec([1, 4, 4, 3]), tf.TensorSpec([None, 5]))
        .graph
    )
    assert "KerasFrcnn>RoiAlign" in {op.type for op in graph.get_operations()}


def test_the_portable_version_is_saved_without_ops_of_ours(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None] * 4), tf.TensorSpec([None, 5])])
        def align(self, features, rois):
            return roi_align(features, rois, 3, 3, 1 / 16)

    with portable_ops():
        tf.saved_model.save(Module(), tmp_path)
    library = saved_model_pb2.SavedModel()
    library.ParseFromString((tmp_path / "saved_model.pb").read_bytes())
    functions = library.meta_graphs[0].graph_def.library.function
    names = {node.op for function in functions for node in function.node_def}
    assert "GatherV2" in names and not any("KerasFrcnn" in name for name in names)
    features, rois = random_features((1, 6, 6, 3)), random_rois(4, 1, 96, 96)
    expected = roi_align_reference([features], rois, [0] * 4, 3, 3, [1 / 16])
    assert same(tf.saved_model.load(tmp_path).align(features, rois).numpy(), expected)
