"""Weight files as Caffe writes them, by protobuf from the part of caffe.proto that matters.

In a package and a pool of descriptors of their own, so that an installed Caffe is not in the way.
"""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = descriptor_pb2.FieldDescriptorProto
# Message -> its fields: name, number, type, and whether it is repeated (numbers then packed).
_MESSAGES = {
    "BlobShape": [("dim", 1, "int64", True)],
    "BlobProto": [
        *[(name, i, "int32", False) for i, name in enumerate(("num", "channels"), 1)],
        *[(name, i, "int32", False) for i, name in enumerate(("height", "width"), 3)],
        ("data", 5, "float", True),
        ("diff", 6, "float", True),
        ("shape", 7, "BlobShape", False),
        ("double_data", 8, "double", True),
    ],
    "LayerParameter": [
        ("name", 1, "string", False),
        ("type", 2, "string", False),
        ("bottom", 3, "string", True),
        ("top", 4, "string", True),
        ("loss_weight", 5, "float", True),
        ("blobs", 7, "BlobProto", True),
        ("phase", 10, "int32", False),
    ],
    "V1LayerParameter": [
        ("bottom", 2, "string", True),
        ("top", 3, "string", True),
        ("name", 4, "string", False),
        ("type", 5, "int32", False),  # an enumeration
        ("blobs", 6, "BlobProto", True),
        ("blobs_lr", 7, "float", True),
    ],
    "NetParameter": [
        ("name", 1, "string", False),
        ("layers", 2, "V1LayerParameter", True),
        ("input", 3, "string", True),
        ("input_dim", 4, "int32", True),
        ("layer", 100, "LayerParameter", True),
    ],
}
V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "ReLU": 18, "Pooling": 17}


def _classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_frcnn_tests/caffe.proto", package="keras_frcnn_tests", syntax="proto2"
    )
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, number, kind, is_repeated in fields:
            field = made.field.add(name=name, number=number)
            field.label = _TYPES.LABEL_REPEATED if is_repeated else _TYPES.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type = _TYPES.TYPE_MESSAGE
                field.type_name = f".keras_frcnn_tests.{kind}"
            else:
                field.type = getattr(_TYPES, f"TYPE_{kind.upper()}")
                # caffe.proto packs numbers, but those of `input_dim` and the loss weights.
                field.options.packed = is_repeated and name in (
                    *("dim", "data", "diff", "double_data"),
                )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"keras_frcnn_tests.{name}")
        )
        for name in _MESSAGES
    }


CLASSES = _classes()


def net(layers, v1=False, old_shapes=False, double=False):
    """The message of a network.

    Args:
        layers: (name, type, arrays) of each, in Caffe's order; a type is as in LayerParameter.
        v1: whether in V1LayerParameter.
        old_shapes: whether with num, channels, height and width.
        double: whether in float64.
    """
    made = CLASSES["NetParameter"](name="tiny", input=["data"], input_dim=[1, 3, 224, 224])
    for name, kind, arrays in layers:
        layer = made.layers.add() if v1 else made.layer.add()
        layer.name = name
        layer.type = V1_TYPES[kind] if v1 else kind
        layer.bottom.append("data")
        layer.top.append(name)
        for array in arrays:
            blob = layer.blobs.add()
            if old_shapes:
                shape = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = shape
            else:
                blob.shape.dim.extend(array.shape)
            (blob.double_data if double else blob.data).extend(np.ravel(array).tolist())
    return made


def write_caffemodel(path, layers, **how):
    """Write the file of a network; `layers` and `how` as in `net`."""
    path.write_bytes(net(layers, **how).SerializeToString())
