from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_frcnn.custom_ops import portable_ops, roi_pool
from tests.custom_ops.roi_pool_op_tester import RoIPoolOpTester


class TestPortable(RoIPoolOpTester):
    def roi_pool(self, *arguments):
        with portable_ops():
            return roi_pool(*arguments)


def test_uses_no_op_of_our_own(tmp_path):
    class Module(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, None, None]),
                tf.TensorSpec([None, 5]),
            ]
        )
        def pool(self, features, rois):
            return roi_pool(features, rois, 7, 7, 1 / 16)

    module = Module()
    with portable_ops():
        tf.saved_model.save(module, tmp_path)
    library = saved_model_pb2.SavedModel()
    library.ParseFromString((tmp_path / "saved_model.pb").read_bytes())
    graph = library.meta_graphs[0].graph_def
    ops = {node.op for function in graph.library.function for node in function.node_def}
    assert "GatherV2" in ops
    assert not any("KerasFrcnn" in op for op in ops)

    features = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype(np.float32)
    rois = np.float32([[0, 0, 0, 90, 90]])
    output, argmax = tf.saved_model.load(tmp_path).pool(features, rois)
    expected, expected_argmax = roi_pool(features, rois, 7, 7, 1 / 16)
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(argmax, expected_argmax)


def test_context_belongs_to_its_thread():
    def op_types():
        function = tf.function(lambda f, r: roi_pool(f, r, 2, 2, 1.0)[0], autograph=False)
        graph = function.get_concrete_function(
            tf.TensorSpec([None] * 4), tf.TensorSpec([None, 5])
        ).graph
        return {op.type for op in graph.get_operations()}

    with ThreadPoolExecutor(1) as other:
        with portable_ops():
            assert "KerasFrcnn>RoiPool" not in op_types()
            elsewhere = other.submit(op_types).result()
        assert elsewhere == op_types()
