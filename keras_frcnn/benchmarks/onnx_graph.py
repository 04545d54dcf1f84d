"""A Fast R-CNN model as an ONNX graph, for the libraries that `keras-frcnn bench detect` compares.

Shape letters: H x W pixels of the scaled image, R RoIs, K object classes.
"""

from pathlib import Path

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from keras_frcnn.errors import InputError
from keras_frcnn.models.convolution import ConvReLU2D
from keras_frcnn.models.heads import FULLY_CONNECTED, REGION_LAYER
from keras_frcnn.models.layers import RoIPool

OPSET, IR_VERSION = 17, 8  # what ONNX Runtime and OpenVINO have both known for years


def write_onnx(model: keras.Model, path: Path, size: tuple[int, int], num_rois: int) -> None:
    """Write a float32 model whose trunk is a chain of layers, such as VGG16's.

    The graph takes `images` [1, 3, H, W], scaled as for the model, and `rois` [R, 5], rows
    (0, x1, y1, x2, y2) in their pixels, and returns `probabilities` [R, K + 1] and `deltas`
    [R, K * 4]. Shapes are constants, and the inverse of the normalisation of the box targets is
    multiplied into the kernel: whatever a library can prepare for them, it may.

    Args:
        model: as `keras_frcnn.models.fast_rcnn.FastRCNN` builds it.
        size: H, W.
        num_rois: R.

    Raises:
        InputError: the trunk has a layer that is not a 3 x 3 convolution like VGG16's, a max
            pooling or a rescaling.
    """
    graph = _Graph()
    roi_pool = model.get_layer(REGION_LAYER)
    graph.value = "images"
    for layer in model.layers:
        if layer is roi_pool:
            break
        if not isinstance(layer, keras.layers.InputLayer):
            _add_trunk_layer(graph, layer)
    _add_roi_pool(graph, roi_pool)
    for name in FULLY_CONNECTED:
        kernel, bias = model.get_layer(name).get_weights()
        if name == "fc6":
            kernel = _rows_by_channel(kernel, roi_pool.pool_size)
        graph.add("Gemm", [graph.constant(kernel), graph.constant(bias)])
        graph.add("Relu")
    fc7 = graph.value
    kernel, bias = model.get_layer("cls_score").get_weights()
    graph.add("Gemm", [graph.constant(kernel), graph.constant(bias)])
    graph.add("Softmax", axis=1, output="probabilities")
    kernel, bias = model.get_layer("bbox_deltas").get_weights()
    normalization = model.get_layer("bbox_pred")
    std = np.sqrt(np.asarray(normalization.variance, np.float32)).reshape(-1)
    mean = np.asarray(normalization.mean, np.float32).reshape(-1)
    graph.value = fc7
    constants = [graph.constant(kernel * std), graph.constant(bias * std + mean)]
    graph.add("Gemm", constants, output="deltas")

    inputs = {"images": [1, 3, *size], "rois": [num_rois, 5]}
    outputs = {"probabilities": [num_rois, None], "deltas": [num_rois, None]}
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in x.items()]
        for x in (inputs, outputs)
    ]
    onnx_model = helper.make_model(
        helper.make_graph(graph.nodes, model.name, *values, initializer=graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.save(onnx_model, path)


class _Graph:
    """Nodes one after the other: each takes `value`, the output of the one before."""

    def __init__(self):
        self.nodes, self.constants, self.value = [], [], ""

    def constant(self, array) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(array, np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op, more_inputs=(), output=None, **attributes) -> None:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.value, *more_inputs], [output], **attributes))
        self.value = output


def _add_trunk_layer(graph, layer):
    if isinstance(layer, ConvReLU2D):
        kernel, bias = layer.get_weights()  # height, width, in, out
        pads = [(side - 1) // 2 for side in layer.kernel_size] * 2
        weights = [graph.constant(kernel.transpose(3, 2, 0, 1)), graph.constant(bias)]
        graph.add("Conv", weights, kernel_shape=layer.kernel_size, pads=pads)
        graph.add("Relu")
    elif isinstance(layer, keras.layers.MaxPooling2D) and layer.padding == "valid":
        graph.add("MaxPool", kernel_shape=layer.pool_size, strides=layer.strides)
    elif isinstance(layer, keras.layers.Rescaling) and layer.offset == 0:
        graph.add("Mul", [graph.constant(layer.scale)])
    else:
        raise InputError(f"layer {layer.name}: the benchmark knows only trunks like VGG16's")


def _add_roi_pool(graph, layer: RoIPool):
    graph.add(
        "MaxRoiPool", ["rois"], pooled_shape=layer.pool_size, spatial_scale=layer.spatial_scale
    )
    graph.add("Flatten", axis=1)  # channels first


def _rows_by_channel(kernel, pool_size):
    """The rows of fc6, in row, column, channel order in Keras, in channel, row, column order."""
    by_cell = kernel.reshape(*pool_size, -1, kernel.shape[1])
    return by_cell.transpose(2, 0, 1, 3).reshape(kernel.shape)
