"""EfficientNet-lite1 against a forward pass in NumPy, written from the definition."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.models.efficientnet_lite import efficientnet_lite1
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.hdf5 import read_hdf5
from keras_frcnn.models.trunks import TRUNKS, is_one_of
from tests.shared_data import shared_data

WEIGHTS = "weights/efficientnet_lite1_imagenet_notop.h5"


def conv(x, kernel, bias, stride=1, dilation=1, depthwise=False):
    """TensorFlow's padding "same" of one image [H, W, C]."""
    size = kernel.shape[0]
    extent = (size - 1) * dilation + 1
    out, pad = [], []
    for side in x.shape[:2]:
        out.append(-(-side // stride))
        total = max((out[-1] - 1) * stride + extent - side, 0)
        pad.append((total // 2, total - total // 2))
    x = np.pad(x, (*pad, (0, 0)))
    y = 0
    for i in range(size):
        for j in range(size):
            rows = slice(i * dilation, i * dilation + (out[0] - 1) * stride + 1, stride)
            columns = slice(j * dilation, j * dilation + (out[1] - 1) * stride + 1, stride)
            cells = x[rows, columns]
            y = y + (cells * kernel[i, j, :, 0] if depthwise else cells @ kernel[i, j])
    return y + bias


def relu6(x):
    return np.clip(x, 0, 6)


def by_hand(rgb, weights):
    """Features of an image [H, W, 3]; strides of 2 in blocks 1, 4 and 7, dilation from 15 on."""
    x = relu6(conv(rgb, *weights["stem_conv"], stride=2))
    for number in range(21):
        y = relu6(conv(x, *weights[f"block{number}_expand"])) if number else x
        stride = 2 if number in (1, 4, 7) else 1
        dilation = 2 if number >= 15 else 1
        y = relu6(conv(y, *weights[f"block{number}_depthwise"], stride, dilation, True))
        y = conv(y, *weights[f"block{number}_project"])
        is_residual = number not in (1, 4, 7, 15) and y.shape == x.shape
        x = x + y if is_residual else y
    return x - 1.25


def smooth(size):
    pixels = np.random.default_rng(0).uniform(-1, 1, (8, 8, 3))
    return tf.image.resize(pixels, size).numpy()


@pytest.mark.parametrize("size", [(97, 131), (64, 64)])
def test_features_are_those_of_the_definition(size):
    images = keras.Input((None, None, 3))
    network = keras.Model(images, efficientnet_lite1(images))
    rng = np.random.default_rng(1)
    weights = {}
    for layer in network.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
            weights[layer.name] = [w.astype(np.float64) for w in layer.get_weights()]
    image = smooth(size)
    expected = by_hand(image.astype(np.float64), weights)
    found = network(image[None]).numpy()[0]
    assert found.shape == (-(-size[0] // 16), -(-size[1] // 16), 320)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_the_published_weights_fit(tmp_path):
    path = shared_data(WEIGHTS)
    model = FastRCNN(["cat"], "efficientnet_lite1", str(path), fc_units=(8, 8))
    published = read_hdf5(Path(path))
    features = keras.Model(model.input["images"], model.get_layer("center").output)
    bgr = 128 * smooth((80, 100))[..., ::-1]
    expected = by_hand(bgr[..., ::-1].astype(np.float64) / 128, published)
    np.testing.assert_allclose(features(bgr[None]).numpy()[0], expected, atol=1e-3)


def test_blocks_are_frozen_by_their_number():
    trunk = TRUNKS["efficientnet_lite1"]
    frozen = trunk.frozen("block2")
    assert is_one_of("block1_expand", frozen) and is_one_of("stem_conv", frozen)
    assert not is_one_of("block10_expand", frozen) and not is_one_of("block2_project", frozen)
