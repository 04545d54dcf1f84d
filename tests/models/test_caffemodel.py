"""Caffe's weight files: both kinds of layers and shapes, damage, and files made to do harm."""

import tracemalloc

import h5py
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.models.caffemodel import read_caffemodel
from tests.models.caffe_files import CLASSES, net, write_caffemodel

RNG = np.random.default_rng(0)
NETWORK = [
    ("data", "Python", []),
    ("conv1", "Convolution", [RNG.normal(size=(4, 3, 3, 2)), RNG.normal(size=4)]),
    ("relu1", "ReLU", []),
    ("rpn_conv/3x3", "Convolution", [RNG.normal(size=(2, 4, 1, 1))]),
    ("fc6", "InnerProduct", [RNG.normal(size=(5, 16)), RNG.normal(size=5)]),
    ("bn", "BatchNorm", [RNG.normal(size=4), RNG.normal(size=4), np.ones(1)]),
]


def assert_weights(found, network):
    """They are those of the convolutions and fully connected layers of a network."""
    expected = {n: a for n, kind, a in network if kind in ("Convolution", "InnerProduct")}
    assert found.keys() == expected.keys()
    for name, arrays in expected.items():
        for value, array in zip(found[name], arrays, strict=True):
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, array.astype(np.float32))


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("old_shapes", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_weights_are_read_from_every_kind_of_message(tmp_path, v1, old_shapes, double):
    network = [layer for layer in NETWORK if not v1 or layer[1] not in ("BatchNorm", "Python")]
    write_caffemodel(
        tmp_path / "w.caffemodel", network, v1=v1, old_shapes=old_shapes, double=double
    )
    assert_weights(read_caffemodel(tmp_path / "w.caffemodel"), network)


def test_fields_may_come_in_any_order_and_shapes_unpacked(tmp_path):
    """As the format of protobuf allows: the type after the weights, a dimension a field."""
    message = net([("conv1", "Convolution", [np.full((1, 1, 2, 1), 3.0)])])
    layer = message.layer[0]
    blob = field(5, layer.blobs[0].data[0:2]) + field(7, b"\x08\1\x08\1\x08\2\x08\1")
    content = field(7, blob) + field(1, b"conv1") + field(2, b"Convolution")
    (tmp_path / "w.caffemodel").write_bytes(field(100, content))
    (kernel,) = read_caffemodel(tmp_path / "w.caffemodel")["conv1"]
    np.testing.assert_array_equal(kernel, np.full((1, 1, 2, 1), 3.0))


def test_of_two_layers_of_one_name_the_last_counts(tmp_path):
    twice = [("conv1", "Convolution", [np.full((1, 1, 1, 1), x)]) for x in (1.0, 2.0)]
    write_caffemodel(tmp_path / "w.caffemodel", twice)
    assert read_caffemodel(tmp_path / "w.caffemodel")["conv1"][0].item() == 2.0


def field(number, content):
    """The bytes of a field that holds bytes, a message or float32 numbers."""
    if not isinstance(content, bytes):
        content = np.asarray(content, "<f4").tobytes()
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def one_layer(*blobs):
    """The bytes of a network of one convolution."""
    content = field(1, b"conv1") + field(2, b"Convolution")
    return field(100, content + b"".join(field(7, blob) for blob in blobs))


def shape(*dimensions):
    return field(7, field(1, b"".join(map(varint, dimensions))))


GOOD = field(5, np.ones(6)) + shape(1, 2, 3, 1)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            one_layer(field(5, np.ones(5)) + shape(1, 2, 3, 1)),
            r"5 weights where the shape is \[1, 2,",
        ),
        (one_layer(field(5, np.ones(6)) + shape(1, 2, 3)), r"a kernel of the shape \[1, 2, 3\]"),
        (one_layer(field(5, np.ones(6))), r"6 weights where the shape is \[\]"),
        (one_layer(shape(1, 2, 3, 1)), "0 weights"),
        (one_layer(field(5, np.ones(6)) + shape(*[1] * 27, 1, 2, 3, 1, 1, 1)), "6 weights"),
        (one_layer(field(5, np.ones(6)) + shape(*[1] * 400)), "at most 320"),
        (one_layer(field(5, np.ones(6)) + shape(2**64 - 1, 2**64 - 2, 3, 1)), "6 weights"),
        (one_layer(field(5, b"") + shape(0, 2**62, 3, 1)), "0 weights"),
        (one_layer(field(5, b"1234567") + shape(1, 1, 1, 1)), "1 weights"),
        (one_layer(field(5, [1, np.nan, 0, 0, 0, 0]) + shape(1, 2, 3, 1)), "not finite"),
        (one_layer(field(5, [1, -np.inf, 0, 0, 0, 0]) + shape(1, 2, 3, 1)), "not finite"),
        (one_layer(field(8, np.float64(1e300).tobytes()) + shape(1, 1, 1, 1)), "not finite"),
        (one_layer(field(5, np.ones(3)) * 2 + shape(1, 2, 3, 1)), "several pieces"),
        (one_layer(b"\x2d\0\0\x80\x3f" * 6 + shape(1, 2, 3, 1)), "several pieces"),
        (
            one_layer(GOOD, field(5, np.ones(2)) + shape(2)),
            r"biases of the shapes \[\(2,\)\] for 1",
        ),
        (one_layer(GOOD, *[field(5, [1]) + shape(1)] * 2), "biases"),
        (one_layer(b"\x28\1" + shape(1, 2, 3, 1)), "the number 1 where"),
        (one_layer(field(5, np.ones(1)) + field(1, b"1234")), "4 bytes where a number"),
        (one_layer(b"\x38\1"), "the number 1 where"),
        (varint(100 << 3) + b"\1", "the number 1 where"),
        (field(100, field(1, b"n" * 2000)), "at most 1000"),
        (one_layer(GOOD)[:-1], "cut off"),
        (varint(100 << 3 | 2) + varint(2**60) + b"123", "cut off"),
        (varint(100 << 3 | 2) + b"\xff" * 30, "without an end"),
        (varint(100 << 3 | 2), "without an end"),
        (b"\0\1", "number 0"),
        (varint(2**29 << 3) + b"\1", "number 536870912"),
        (varint(100 << 3 | 3), "type 3"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_that_names_the_file(tmp_path, content, message):
    (tmp_path / "w.caffemodel").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_caffemodel(tmp_path / "w.caffemodel")
    text = str(caught.value)
    assert text.startswith(
        f"{tmp_path / 'w.caffemodel'}: not a .caffemodel file of Caffe, or a dam"
    )
    assert "\n" not in text and len(text) < 600
    if "weights where" in text:
        assert "layer 'conv1'" in text


def test_other_files_are_named(tmp_path):
    path = tmp_path / "w.caffemodel"
    with pytest.raises(InputError, match=r"w\.caffemodel: no such weight file"):
        read_caffemodel(path)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(300)
    with pytest.raises(InputError, match=r"w\.caffemodel: not a \.caffemodel file"):
        read_caffemodel(path)
    for text in (
        'name: "VGG16"\nlayer {\n',
        "<!DOCTYPE html>",
        "version https://git-lfs.github.com",
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=r"w\.caffemodel: not a \.caffemodel file"):
            read_caffemodel(path)
    definition = net([("conv1", "Convolution", []), ("fc6", "InnerProduct", [])])
    for content in (b"", definition.SerializeToString()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"w\.caffemodel: no layer with weights"):
            read_caffemodel(path)


def test_a_file_cut_anywhere_is_refused_or_has_the_layers_before(tmp_path):
    content = net(NETWORK).SerializeToString()
    whole = read(tmp_path, content)
    accepted = 0
    for end in range(len(content)):
        try:
            found = read(tmp_path, content[:end])
        except InputError as error:
            assert "\n" not in str(error)
        else:
            accepted += 1
            assert list(found) == list(whole)[: len(found)]
            for name, arrays in found.items():
                for value, array in zip(arrays, whole[name], strict=True):
                    np.testing.assert_array_equal(value, array)
    assert accepted == 4  # behind conv1, relu1, rpn_conv/3x3 and fc6


def read(folder, content):
    (folder / "w.caffemodel").write_bytes(content)
    return read_caffemodel(folder / "w.caffemodel")


@pytest.mark.parametrize("v1", [False, True])
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path, v1):
    network = [layer for layer in NETWORK if layer[1] not in ("BatchNorm", "Python")]
    whole = net(network, v1=v1, old_shapes=v1).SerializeToString()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), rng.integers(1, 20)):
            content[at] = rng.integers(0, 256)
        if rng.random() < 0.2:
            del content[rng.integers(0, len(content)) :]
        try:
            found = read(tmp_path, content)
        except InputError as error:
            assert str(error).startswith(f"{tmp_path / 'w.caffemodel'}: ")
            assert "\n" not in str(error)
            refused += 1
        else:
            assert all(np.isfinite(v).all() for values in found.values() for v in values)
    assert 0 < refused < 500


def test_protobuf_reads_what_the_tests_write_by_hand():
    message = CLASSES["NetParameter"].FromString(one_layer(GOOD))
    assert message.layer[0].name == "conv1"
    assert list(message.layer[0].blobs[0].shape.dim) == [1, 2, 3, 1]
    assert list(message.layer[0].blobs[0].data) == [1] * 6


def test_a_large_file_is_held_in_memory_once(tmp_path):
    blob = field(5, np.zeros(5_000_000)) + shape(1000, 5000, 1, 1)
    (tmp_path / "w.caffemodel").write_bytes(one_layer(blob))
    tracemalloc.start()
    try:
        read_caffemodel(tmp_path / "w.caffemodel")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A quarter more: a byte for each number while it is looked whether all are finite.
    assert peak < 1.3 * 20e6
