import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import roi_pool
from keras_frcnn.custom_ops.cases import random_features, random_rois, same_bits
from keras_frcnn.custom_ops.compiler import NoCompilerError, find_compiler
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference
from tests.custom_ops.roi_pool_op_tester import RoIPoolOpTester

try:
    find_compiler()
except NoCompilerError as error:
    pytest.skip(str(error), allow_module_level=True)


class TestCpuOp(RoIPoolOpTester):
    def roi_pool(self, *arguments):
        return roi_pool(*arguments)

    def test_is_the_compiled_op(self):
        graph = self.function(7, 7, 1 / 16).get_concrete_function().graph
        assert "KerasFrcnn>RoiPool" in {op.type for op in graph.get_operations()}

    def test_gradient_sums_in_order(self):
        features, rois = random_features((2, 6, 6, 40)), random_rois(30, 2, 96, 96)
        grad_output = random_features((30, 7, 7, 40), seed=1)
        _, argmax = roi_pool_reference(features, rois, 7, 7, 1 / 16)
        expected = roi_pool_grad_reference(grad_output, argmax, rois, features.shape)
        assert same_bits(self.gradient(features, rois, 7, 7, 1 / 16, grad_output), expected)


def test_shape_function():
    library = load_library()
    shapes = {}

    @tf.function(autograph=False)
    def trace(features, rois, grad):
        output, argmax = library.keras_frcnn_roi_pool(
            features, rois, pooled_height=2, pooled_width=3, spatial_scale=1.0
        )
        shapes["output"], shapes["argmax"] = output.shape, argmax.shape
        shapes["grad"] = library.keras_frcnn_roi_pool_grad(
            grad_output=grad, argmax=argmax, rois=rois, features_shape=tf.shape(features)
        ).shape

    trace.get_concrete_function(
        tf.TensorSpec([None, None, 9, 8]), tf.TensorSpec([None, 5]), tf.TensorSpec(None)
    )
    assert shapes["output"].as_list() == shapes["argmax"].as_list() == [None, 2, 3, 8]
    assert shapes["grad"].as_list() == [None, None, 9, 8]
    trace.get_concrete_function(tf.TensorSpec(None), tf.TensorSpec(None), tf.TensorSpec(None))
    assert shapes["output"].as_list() == [None, 2, 3, None]
    assert shapes["grad"].as_list() == [None] * 4


@pytest.mark.parametrize(
    ("features", "rois"), [([2, 3, 4], [None, 5]), ([1, 2, 3, 4], [5]), ([1, 2, 3, 4], [7, 4])]
)
def test_shape_function_refuses(features, rois):
    def trace(features, rois):
        return load_library().keras_frcnn_roi_pool(
            features, rois, pooled_height=2, pooled_width=3, spatial_scale=1.0
        )

    with pytest.raises(ValueError, match=r"must be rank|Dimensions? must be"):
        tf.function(trace, autograph=False).get_concrete_function(
            tf.TensorSpec(features), tf.TensorSpec(rois)
        )


def test_op_checks_what_it_is_given():
    # The raw ops, past the checks in Python.
    library = load_library()
    pool = library.keras_frcnn_roi_pool
    attributes = {"pooled_height": 2, "pooled_width": 2, "spatial_scale": 1.0}
    invalid = tf.errors.InvalidArgumentError
    with pytest.raises(invalid, match=r"features must be"):
        pool(tf.zeros([2, 2, 1]), tf.zeros([1, 5]), **attributes)
    with pytest.raises(invalid, match=r"rois must be"):
        pool(tf.zeros([1, 2, 2, 1]), tf.zeros([1, 4]), **attributes)
    with pytest.raises(invalid, match=r"cells"):
        pool(tf.zeros([0, 1 << 16, 1 << 16, 0]), tf.zeros([0, 5]), **attributes)
    with pytest.raises(invalid, match=r"overflow|too large|number of elements"):
        huge = {**attributes, "pooled_height": 1 << 30, "pooled_width": 1 << 30}
        pool(tf.zeros([1, 1, 1, 1 << 10]), tf.zeros([4, 5]), **huge)
    with pytest.raises(invalid, match=r"spatial_scale"):
        pool(tf.zeros([1, 2, 2, 1]), tf.zeros([1, 5]), **{**attributes, "spatial_scale": np.inf})

    def grad(grad_output=(1, 2, 2, 3), argmax=(1, 2, 2, 3), rois=(1, 5), shape=(1, 4, 4, 3)):
        return library.keras_frcnn_roi_pool_grad(
            grad_output=tf.zeros(grad_output),
            argmax=tf.zeros(argmax, tf.int32),
            rois=rois if isinstance(rois, np.ndarray) else tf.zeros(rois),
            features_shape=tf.constant(shape, tf.int32),
        )

    assert grad().shape == (1, 4, 4, 3)
    assert grad((1, 5, 3), (1, 5, 3)).shape == (1, 4, 4, 3)  # of a pyramid
    for wrong in [
        {"grad_output": (2, 2, 3)},
        {"grad_output": (1, 3), "argmax": (1, 3)},
        {"argmax": (1, 2, 2, 4)},
        {"rois": (2, 5)},
        {"shape": (4, 4, 3)},
        {"shape": (1, 4, 4, 4)},
        {"shape": (1, -4, 4, 3)},
    ]:
        with pytest.raises(invalid):
            grad(**wrong)
    with pytest.raises(invalid, match=r"row 0.*batch index"):
        grad(rois=np.float32([[1, 0, 0, 0, 0]]))


@pytest.mark.parametrize("wanted", [False, True])
def test_argmax_is_computed_only_where_it_is_wanted(wanted):
    load_library()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        features = tf.compat.v1.placeholder(tf.float32, [None] * 4)
        output, argmax = roi_pool(features, random_rois(3, 1, 128, 128), 2, 2, 1 / 16)
        metadata = tf.compat.v1.RunMetadata()
        session.run(
            [output, argmax] if wanted else [output],
            {features: random_features((1, 8, 8, 4))},
            options=tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE),
            run_metadata=metadata,
        )
    nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    (node,) = [node for node in nodes if node.node_name == output.op.name]
    assert {result.slot for result in node.output} == ({0, 1} if wanted else {0})


THREADS = """
import hashlib, sys
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from keras_frcnn.custom_ops import roi_pool
from keras_frcnn.custom_ops.cases import random_features, random_rois
features = tf.constant(random_features((2, 30, 40, 100)))
digest = hashlib.sha256()
for dtype in (tf.float32, tf.bfloat16):
    x = tf.cast(features, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output, argmax = roi_pool(x, random_rois(300, 2, 480, 640), 7, 7, 1 / 16)
        loss = tf.reduce_sum(output * tf.cast(random_features(output.shape, seed=1), dtype))
    for tensor in (output, argmax, tape.gradient(loss, x)):
        digest.update(tensor.numpy().tobytes())
print(digest.hexdigest())
"""


def test_number_of_threads_changes_nothing():
    digests = set()
    for threads in (1, 7):
        command = [sys.executable, "-c", THREADS, str(threads)]
        digests.add(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1
