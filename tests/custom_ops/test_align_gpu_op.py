"""RoIAlign's ops on a GPU. Skipped where TensorFlow sees none."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import roi_align
from keras_frcnn.custom_ops.align_cases import all_cases, random_cases, same
from keras_frcnn.custom_ops.align_reference import roi_align_reference
from keras_frcnn.custom_ops.cases import DTYPES

if not tf.config.list_physical_devices("GPU"):
    pytest.skip("TensorFlow sees no GPU", allow_module_level=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ratio, aligned", [(0, True), (0, False), (2, True), (3, False)])
def test_definition(dtype, ratio, aligned):
    for case in [*all_cases(), *random_cases(20)]:
        case = case.with_dtype(dtype)
        arguments = case.rois, *case.size, case.scales, ratio, aligned, case.levels
        with tf.device("/GPU:0"):
            output = roi_align([tf.constant(m) for m in case.maps], *arguments)
        assert output.device.endswith("GPU:0")
        expected = roi_align_reference(
            case.maps, case.rois, case.levels, *case.size, case.scales, ratio, aligned
        )
        assert same(output.numpy(), expected), case.name


@pytest.mark.parametrize("aligned", [True, False])
def test_gradient_is_the_cpus(aligned):
    for case in all_cases():
        if case.name == "not a number":
            continue
        found = []
        for device in ("CPU:0", "GPU:0"):
            with tf.device(device):
                maps = [tf.constant(m) for m in case.maps]
                with tf.GradientTape() as tape:
                    tape.watch(maps)
                    output = roi_align(
                        maps, case.rois, *case.size, case.scales, 2, aligned, case.levels
                    )
                found.append(tape.gradient(output, maps))
        for on_cpu, on_gpu in zip(*found, strict=True):
            np.testing.assert_allclose(on_gpu, on_cpu, 1e-5, 1e-5, err_msg=case.name)


def test_a_bad_row_is_named():
    rois = np.float32([[0, 0, 0, 1, 1], [3, 0, 0, 1, 1]])
    with tf.device("/GPU:0"), pytest.raises(tf.errors.InvalidArgumentError, match="rois row 1"):
        roi_align(tf.zeros([1, 4, 4, 2]), rois, 2, 2, 1.0)


DETERMINISTIC = """
import numpy as np, tensorflow as tf
tf.config.experimental.enable_op_determinism()
from keras_frcnn.custom_ops.align_reference import roi_align_grad_reference
from keras_frcnn.custom_ops.cases import DTYPES, random_features
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.custom_ops.align_cases import all_cases, same
library = load_library()
for case in all_cases():
    for dtype in DTYPES:
        typed = case.with_dtype(dtype)
        shapes = [m.shape for m in typed.maps]
        grads = random_features((len(typed.rois), *typed.size, shapes[0][3]))
        grads = grads.astype(DTYPES[dtype])
        expected = roi_align_grad_reference(
            grads, typed.rois, typed.levels, shapes, typed.scales, 2)
        for _ in range(3):
            with tf.device("GPU:0"):
                found = library.keras_frcnn_roi_align_grad(
                    grad_output=grads, rois=typed.rois, levels=typed.levels,
                    shapes=[tf.constant(s, tf.int32) for s in shapes],
                    spatial_scales=list(typed.scales), sampling_ratio=2)
            for ours, right in zip(found, expected, strict=True):
                assert same(ours.numpy(), right), (typed.name, dtype)
print("the reference's")
"""


def test_deterministic_gradient_is_the_references_bit_for_bit():
    done = subprocess.run([sys.executable, "-c", DETERMINISTIC], capture_output=True, text=True)
    assert done.stdout == "the reference's\n", done.stderr
