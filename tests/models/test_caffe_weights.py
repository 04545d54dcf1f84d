"""Weights of Caffe's networks in ours: the same detections, and what is left out."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN, RegionProposalNetwork
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.models.weights import load_pretrained
from tests.models import caffe_network
from tests.models.caffe_files import write_caffemodel
from tests.models.caffe_network import ANCHOR_OPTIONS, ANCHORS, TRUNK, random_layers

CLASSES = ("one", "two", "three")
RNG = np.random.default_rng(5)
TARGETS = (
    RNG.normal(0, 0.2, (3, 4)).astype(np.float32),
    RNG.uniform(0.05, 0.5, (3, 4)).astype(np.float32),
)
IMAGES = RNG.normal(0, 50, (2, 24, 32, 3)).astype(np.float32)
ROIS = np.array(
    [
        [[0, 0, 31, 23], [4, 5, 20, 18], [9, 2, 30, 9]],
        [[17, 6, 19, 22], [2, 2, 29, 20], [12, 12, 13, 13]],
    ],
    np.float32,
)


def write(folder, network, **how):
    """The file of a network; returns its path as `weights` of a detector."""
    write_caffemodel(folder / "net.caffemodel", network, **how)
    return str(folder / "net.caffemodel")


def named(network):
    """Name -> weights, as `read_caffemodel` returns them."""
    return {name: arrays for name, _, arrays in network if arrays}


def loaded(model, network, folder):
    """The names of the layers of `model` that the file of a network fills."""
    return load_pretrained(model, TRUNK, write(folder, network))


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("old_shapes", [False, True])
def test_detections_are_those_of_caffes_network(tmp_path, v1, old_shapes):
    network = random_layers(len(CLASSES))
    weights = write(tmp_path, network, v1=v1, old_shapes=old_shapes)
    model = FastRCNN(CLASSES, TRUNK, weights, TARGETS)
    outputs = model({"images": IMAGES, "rois": ROIS})

    rois = np.concatenate([np.repeat([0, 1], 3)[:, None], ROIS.reshape(6, 4)], axis=1)
    scores, offsets = caffe_network.detect(network, IMAGES.transpose(0, 3, 1, 2), rois)
    found = keras.ops.softmax(outputs["cls_score"]).numpy().reshape(6, 4)
    assert np.ptp(scores, axis=0).min() > 0.01  # regions differ, so that their order matters
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        outputs["bbox_pred"].numpy().reshape(6, 12), offsets[:, 4:], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("build", [FasterRCNN, RegionProposalNetwork])
def test_scores_and_offsets_of_the_anchors_are_those_of_caffes_network(tmp_path, build):
    network = random_layers(len(CLASSES))
    model = build(CLASSES, TRUNK, write(tmp_path, network), ANCHOR_OPTIONS)
    maps = [model.get_layer(name).output for name in ("rpn_scores", "rpn_deltas")]
    scores, deltas = keras.Model(model.input["images"], maps)(IMAGES)

    objects, offsets = caffe_network.propose(network, IMAGES.transpose(0, 3, 1, 2))
    n, _, height, width = objects.shape
    offsets = offsets.reshape(n, ANCHORS, 4, height, width)
    found = keras.ops.softmax(scores).numpy()[..., 1]
    assert np.median(np.ptp(objects, axis=1)) > 0.1  # anchors differ, so that their order matters
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), objects, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        deltas.numpy().transpose(0, 3, 4, 1, 2), offsets, rtol=1e-4, atol=1e-4
    )


def test_faster_rcnn_has_the_weights_that_fast_rcnn_has(tmp_path):
    weights = write(tmp_path, random_layers(len(CLASSES)))
    fast = FastRCNN(CLASSES, TRUNK, weights, TARGETS)
    faster = FasterRCNN(CLASSES, TRUNK, weights, ANCHOR_OPTIONS, targets=TARGETS)
    for layer in filter(lambda layer: layer.weights, fast.layers):
        for one, other in zip(layer.weights, faster.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_proposal_network_of_other_anchors_stays_random(tmp_path):
    """Also its hidden layer: what it computes is for the anchors of the file."""
    network = random_layers(len(CLASSES))
    model = RegionProposalNetwork(CLASSES, TRUNK, None, ProposalOptions((1, 2), (1,)))
    assert all(name.startswith("block") for name in loaded(model, network, tmp_path))


@pytest.mark.parametrize(
    "change, missing",
    [
        ({}, set()),
        ({"class_names": ("one", "two")}, {"cls_score", "bbox_deltas"}),
        # The predictors read outputs that they were not trained on.
        ({"fc_units": (5, 6)}, {"fc6", "fc7", "cls_score", "bbox_deltas"}),
        ({"fc_units": (7, 9)}, {"fc7", "cls_score", "bbox_deltas"}),
    ],
)
def test_what_does_not_fit_stays_random(tmp_path, change, missing):
    args = {"class_names": CLASSES, "trunk": TRUNK, "weights": None, **change}
    model = FastRCNN(**args)
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    assert set(loaded(model, random_layers(len(CLASSES)), tmp_path)) == set(before) - missing
    for name in missing:
        for old, new in zip(before[name], model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_offsets_of_one_class_less_are_not_taken(tmp_path):
    """16 offsets are those of three classes and the background, not of four classes."""
    model = FastRCNN(list("abcd"), TRUNK, None)
    network = random_layers(3)
    network = [layer for layer in network if layer[0] != "cls_score"]
    assert "bbox_deltas" not in loaded(model, network, tmp_path)


@pytest.mark.parametrize("name", ["fc6", "fc7"])
def test_without_a_hidden_layer_the_predictors_stay_random(tmp_path, name):
    """As in files that the authors' truncated SVD wrote: fc6_L and fc6_U in its place."""
    network = [layer for layer in random_layers(len(CLASSES)) if layer[0] != name]
    network.append((f"{name}_L", "InnerProduct", [np.ones((7, 3), np.float32)]))
    found = loaded(FastRCNN(CLASSES, TRUNK, None), network, tmp_path)
    assert not set(found) & {name, "cls_score", "bbox_deltas"}


def test_a_classifier_fills_trunk_and_hidden_layers(tmp_path):
    """As VGG_ILSVRC_16_layers.caffemodel does; the lowest layers are frozen."""
    network = [layer for layer in random_layers(3) if layer[0] not in ("cls_score", "bbox_pred")]
    network.append(("fc8", "InnerProduct", [np.ones((9, 6), np.float32), np.ones(9, np.float32)]))
    model = FastRCNN(CLASSES, TRUNK, write(tmp_path, network, v1=True, old_shapes=True))
    frozen = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_conv2"}
    assert "rescale" not in {layer.name for layer in model.layers}
    np.testing.assert_array_equal(model.get_layer("fc7").kernel, named(network)["fc7"][0].T)
    assert np.abs(model.get_layer("bbox_deltas").kernel).max() < 0.01


VGG16 = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
FIRE = ("squeeze1x1", "expand1x1", "expand3x3")


@pytest.mark.parametrize(
    "trunk, names",
    [
        ("vgg16", VGG16),
        ("vgg_cnn_m_half", [f"conv{i}" for i in range(1, 6)]),
        ("squeezenet", ["conv1", *(f"fire{i}/{part}" for i in range(2, 10) for part in FIRE)]),
    ],
)
def test_trunks_are_filled_by_the_names_of_their_caffe_networks(tmp_path, trunk, names):
    source, model = (FastRCNN(CLASSES, trunk, None, fc_units=(3, 2)) for _ in range(2))
    filled = [layer for layer in source.layers if isinstance(layer, layers.Conv2D)]
    network = [
        (name, "Convolution", [layer.kernel.numpy().transpose(3, 2, 0, 1), layer.bias.numpy() + i])
        for i, (name, layer) in enumerate(zip(names, filled, strict=True))
    ]
    path = write(tmp_path, network)
    assert load_pretrained(model, TRUNKS[trunk], path) == [layer.name for layer in filled]
    for i, layer in enumerate(filled):
        kernel, bias = model.get_layer(layer.name).get_weights()
        np.testing.assert_array_equal(kernel, layer.kernel)
        np.testing.assert_array_equal(bias, layer.bias.numpy() + np.float32(i))


def test_a_layer_of_the_trunk_that_the_file_lacks_is_named(tmp_path):
    network = [layer for layer in random_layers(3) if layer[0] != "conv2_1"]
    with pytest.raises(InputError, match=r"net\.caffemodel: layer block2_conv1 .*has none"):
        FastRCNN(CLASSES, TRUNK, write(tmp_path, network))


def test_a_layer_of_the_trunk_of_another_size_is_named_with_both_shapes(tmp_path):
    network = random_layers(3)
    network[0] = ("conv1_1", "Convolution", [np.ones((4, 3, 5, 5)), np.ones(4)])
    with pytest.raises(InputError, match=r"block1_conv1 .*\(3, 3, 3, 4\).*\(5, 5, 3, 4\)"):
        FastRCNN(CLASSES, TRUNK, write(tmp_path, network))


def test_a_trunk_with_other_layers_than_caffe_has_is_refused(tmp_path):
    def build(images):
        x = layers.Conv2D(4, 3, 2, padding="same", name="conv1")(images)
        return layers.BatchNormalization(name="norm")(x)

    with pytest.raises(InputError, match=r"layer norm .*another network"):
        FastRCNN(
            CLASSES,
            Trunk(build, stride=2),
            write(tmp_path, [("conv1", "Convolution", [np.ones((4, 3, 3, 3)), np.ones(4)])]),
            fc_units=(3, 2),
        )


def test_odd_weights_of_the_layers_after_the_trunk_are_left_out(tmp_path):
    """Of other shapes than any such layer has, but of the right name."""
    ones = np.ones(5, np.float32)
    odd = [
        ("fc6", "Convolution", [np.ones((5, 2, 3, 3)), ones]),
        ("bbox_pred", "Convolution", [np.ones((16, 6, 1, 1))]),
        ("cls_score", "InnerProduct", [np.ones((4, 6))]),
        ("rpn_cls_score", "InnerProduct", [np.ones((5, 8)), ones]),
    ]
    network = [layer for layer in random_layers(3) if layer[0].startswith("conv")]
    found = loaded(FastRCNN(CLASSES, TRUNK, None), network + odd, tmp_path)
    assert all(name.startswith("block") for name in found)


def test_hdf5_files_do_not_fill_the_predictors(tmp_path):
    """There is no telling what classes and targets they would have been of."""
    network = named(random_layers(3))
    with h5py.File(tmp_path / "net.h5", "w") as file:
        names = [layer for part in TRUNK.parts.values() for layer in part] + ["cls_score"]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name, theirs in zip(names, [*TRUNK.parts, "cls_score"], strict=True):
            kernel, bias = network[theirs]
            group = file.create_group(name)
            group["kernel"] = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
            group["bias"] = bias
    model = FastRCNN(CLASSES, TRUNK, None)
    assert "cls_score" not in load_pretrained(model, TRUNK, str(tmp_path / "net.h5"))
