"""ONNX Runtime's MaxRoiPool, which computes the same function on finite numbers."""

import numpy as np
import onnx
import onnxruntime


def max_roi_pool_session(pooled_height, pooled_width, spatial_scale, threads=0):
    """A session that maps `features` [N, C, H, W] and `rois` [K, 5] to `pooled`, all float32."""
    node = onnx.helper.make_node(
        "MaxRoiPool",
        ["features", "rois"],
        ["pooled"],
        pooled_shape=[pooled_height, pooled_width],
        spatial_scale=float(spatial_scale),
    )
    float32 = onnx.TensorProto.FLOAT
    tensors = [
        onnx.helper.make_tensor_value_info(name, float32, shape)
        for name, shape in [("features", [None] * 4), ("rois", [None, 5]), ("pooled", [None] * 4)]
    ]
    graph = onnx.helper.make_graph([node], "max_roi_pool", tensors[:2], tensors[2:])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def max_roi_pool(features, rois, pooled_height, pooled_width, spatial_scale):
    """Output [K, PH, PW, C] for float32 `features` [N, H, W, C]."""
    session = max_roi_pool_session(pooled_height, pooled_width, spatial_scale)
    channels_first = np.ascontiguousarray(features.transpose(0, 3, 1, 2))
    (pooled,) = session.run(None, {"features": channels_first, "rois": rois})
    return pooled.transpose(0, 2, 3, 1)
