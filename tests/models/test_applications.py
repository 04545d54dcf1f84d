"""Trunks that are applications of Keras, one of each family, against Keras's own networks."""

import random

import keras
import numpy as np
import pytest
from keras import layers

from keras_frcnn.models.applications import application_features
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import TRUNKS, is_one_of

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (1, 192, 224, 3)).astype(np.float32)

# Trunk -> the module of Keras with its `preprocess_input`, the layer that reads the features in
# Keras's network, and at which cell of every two the dilated features are those of that network:
# TensorFlow pads an even number of cells at the end only, a stride of 1 pads both sides.
FAMILIES = {
    "resnet50": ("resnet", None, 0),
    "resnet50_v2": ("resnet_v2", None, 0),
    "densenet121": ("densenet", None, 0),
    "mobilenet": ("mobilenet", None, 1),
    "mobilenet_v2": ("mobilenet_v2", "Conv_1", 1),
    "mobilenet_v3_small": ("mobilenet_v3", "conv_1", 1),
    "efficientnet_b0": ("efficientnet", "top_conv", 1),
    "efficientnet_v2_b0": ("efficientnet_v2", "top_conv", 1),
    "convnext_tiny": ("convnext", -1, 0),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """Trunk, Keras's network with weights unlike those of a new one, and the trunk's model."""
    name = request.param
    keras.utils.set_random_seed(0)
    application = TRUNKS[name].application
    network = getattr(keras.applications, application)(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
        elif layer.name.endswith("layer_scale"):  # of a millionth in a new network
            layer.gamma.assign(RNG.uniform(0.1, 0.5, layer.gamma.shape))
        elif isinstance(layer, layers.Normalization) and not layer.input_mean:
            # EfficientNet B's preprocessing, whose statistics are weights. (In the published ones
            # the variance is a deviation, and one more layer makes up for it.)
            variance = np.square((0.229, 0.224, 0.225))
            layer.set_weights([np.array((0.485, 0.456, 0.406)), variance, np.array(0)])
            layer.finalize_state()
    with pytest.MonkeyPatch.context() as patch:
        # What Keras would download, and the network that is rebuilt, made once for all tests.
        patch.setattr(keras.applications, application, lambda **kw: network)
        model = FastRCNN(["a", "b"], name, "imagenet", fc_units=(4, 4))
    return name, network, model


def squeeze_and_excitation(network):
    """The last convolutions of these blocks."""
    return [
        layer for layer in network.layers if layer.name.endswith(("se_expand", "excite_conv_1"))
    ]


def test_features_are_those_of_keras(family):
    """At every second cell, and with the application's own preprocessing of RGB."""
    name, network, model = family
    module, reader, offset = FAMILIES[name]
    for net in (network, model):
        for layer in squeeze_and_excitation(net):  # their means are over other cells
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    if reader is None:
        own = network
    else:
        layer = network.layers[-1] if reader == -1 else network.get_layer(reader)
        own = keras.Model(network.input, layer.input)
    pixels = getattr(keras.applications, module).preprocess_input(RGB.copy())
    expected = own(pixels).numpy()
    assert expected.shape[1:3] == (6, 7)

    features = keras.Model(model.input["images"], model.get_layer("roi_pool").input[0])
    images = RGB[..., ::-1] - np.float32(TRUNKS[name].pixel_means)
    found = features(images).numpy()
    assert found.shape == (1, 12, 14, expected.shape[-1])
    inner = (slice(None), slice(2, -2), slice(2, -2))  # the rest sees the border of the map
    np.testing.assert_allclose(
        found[:, offset::2, offset::2][inner],
        expected[inner],
        rtol=1e-3,
        atol=1e-4 * np.abs(expected).max(),
    )


def test_every_weight_has_a_place(family):
    name, network, model = family
    parts = TRUNKS[name].parts
    weights = {layer.name for layer in model.layers if layer.weights}
    in_parts = {part: {n for n in weights if is_one_of(n, parts[part])} for part in parts}
    assert all(in_parts.values())
    assert sum(map(len, in_parts.values())) == len(set.union(*in_parts.values()))
    assert weights - set.union(*in_parts.values()) == {"fc6", "fc7", "cls_score", "bbox_deltas"}
    for layer in network.layers:
        if layer.name in weights:
            for old, new in zip(
                layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(old, new)


def test_lowest_stages_and_all_batch_normalisation_are_frozen(family):
    name, _, model = family
    trunk = TRUNKS[name]
    for layer in model.layers:
        if layer.weights:
            is_frozen = is_one_of(layer.name, trunk.frozen())
            is_frozen |= isinstance(layer, layers.BatchNormalization)
            assert layer.trainable is not is_frozen


def test_training_computes_what_inference_does(family):
    """No statistics of the batch, and nothing dropped."""
    _, _, model = family
    features = keras.Model(model.input["images"], model.get_layer("roi_pool").input[0])
    images = RNG.normal(0, 50, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(features(images, training=True), features(images))


def test_the_first_copy_uses_up_no_random_numbers():
    keras.utils.set_random_seed(0)
    expected = random.getstate()
    images = keras.Input((None, None, 3))
    model = keras.Model(images, application_features(images, "VGG16", "block1_pool"))
    assert [layer.name for layer in model.layers[1:]] == ["block1_conv1", "block1_conv2"]
    random.setstate(expected)
    again = keras.Model(images, application_features(images, "VGG16", "block1_pool"))
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
