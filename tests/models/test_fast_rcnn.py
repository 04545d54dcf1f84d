import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_frcnn.custom_ops.reference import roi_pool_reference
from keras_frcnn.errors import InputError
from keras_frcnn.models.building import PIXEL_STD
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import Trunk

IMAGES = np.random.default_rng(0).normal(0, 50, (2, 64, 96, 3)).astype(np.float32)
ROIS = np.array(
    [
        [[0, 0, 95, 63], [10, 20, 60, 50], [0, 0, 0, 0]],
        [[30, 5, 90, 60], [64, 32, 90, 63], [5, 5, 8, 9]],
    ],
    np.float32,
)
INPUTS = {"images": IMAGES, "rois": ROIS}


def relu_dense(x, layer):
    return np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)


def test_forward_equals_the_parts_put_together_by_hand():
    """Keras's own VGG16, the NumPy RoI pooling and matrix products give the same outputs."""
    keras.utils.set_random_seed(0)
    mean = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
    std = np.linspace(0.1, 2, 12, dtype=np.float32).reshape(3, 4)
    model = FastRCNN(list("abc"), weights=None, targets=(mean, std), fc_units=(16, 8))
    outputs = model(INPUTS)

    vgg = keras.applications.VGG16(include_top=False, weights=None)
    for layer in vgg.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights() if layer.weights else [])
    trunk = keras.Model(vgg.input, vgg.get_layer("block5_conv3").output)
    features = trunk(IMAGES / PIXEL_STD).numpy()
    assert features.shape == (2, 4, 6, 512)
    flat = np.concatenate([np.repeat([0, 1], 3)[:, None], ROIS.reshape(6, 4)], axis=1)
    pooled, _ = roi_pool_reference(features, flat.astype(np.float32), 7, 7, 1 / 16)
    x = pooled.reshape(6, 7 * 7 * 512)
    x = relu_dense(relu_dense(x, model.get_layer("fc6")), model.get_layer("fc7"))
    score, box = model.get_layer("cls_score"), model.get_layer("bbox_deltas")
    scores = x @ score.kernel.numpy() + score.bias.numpy()
    deltas = (x @ box.kernel.numpy() + box.bias.numpy()).reshape(2, 3, 3, 4) * std + mean
    np.testing.assert_allclose(outputs["cls_score"], scores.reshape(2, 3, 4), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["bbox_pred"], deltas, rtol=1e-4, atol=1e-5)


def test_vgg16_has_the_papers_size():
    model = FastRCNN(map(str, range(20)), weights=None, fc_units=(8, 8))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sum(layer.count_params() for layer in convolutions) == 14_714_688
    assert model.get_layer("fc6").kernel.shape == (25088, 8)
    assert model.output["cls_score"].shape == (None, None, 21)
    assert model.output["bbox_pred"].shape == (None, None, 20, 4)


def test_new_layers_start_as_in_the_paper():
    keras.utils.set_random_seed(0)
    model = FastRCNN(map(str, range(20)), "squeezenet", None, fc_units=(8, 4096))
    assert np.std(model.get_layer("cls_score").kernel) == pytest.approx(0.01, rel=0.02)
    assert np.std(model.get_layer("bbox_deltas").kernel) == pytest.approx(0.001, rel=0.02)
    assert not np.any(model.get_layer("cls_score").bias)


@pytest.mark.parametrize("trunk, size", [("vgg16", (38, 50)), ("squeezenet", (38, 50))])
def test_trunks_have_stride_16(trunk, size):
    model = FastRCNN(["a", "b"], trunk, None, fc_units=(4, 4))
    features = keras.Model(model.input["images"], model.get_layer("roi_pool").input[0])
    height, width = features(np.zeros((1, 600, 800, 3), np.float32)).shape[1:3]
    assert (height, width) in {size, (37, 50)}


def test_random_weights_give_small_scores():
    """Of unit variance through 13 layers: neither vanished nor exploded."""
    keras.utils.set_random_seed(0)
    model = FastRCNN(list("abc"), weights=None, fc_units=(256, 256))
    scores = model(INPUTS)["cls_score"].numpy()
    assert 1e-3 < np.abs(scores).max() < 3


def test_no_rois():
    model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(4, 4))
    outputs = model({"images": IMAGES, "rois": np.zeros((2, 0, 4), np.float32)})
    assert outputs["cls_score"].shape == (2, 0, 4)
    assert outputs["bbox_pred"].shape == (2, 0, 3, 4)


def test_survives_saving(tmp_path):
    model = FastRCNN(list("abc"), "squeezenet", None, (0, 0.2), fc_units=(8, 8))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for key, expected in model(INPUTS).items():
        np.testing.assert_array_equal(again(INPUTS)[key], expected)


def test_one_import_knows_the_layers_that_files_name():
    names = ("ConvReLU2D", "ChannelwiseConv2D", "NormalizedRGB", "LocalResponseNorm", "RoIPool")
    code = f"""
import keras, keras_frcnn.models.fast_rcnn
found = [keras.saving.get_registered_object("keras_frcnn>" + name) for name in {names}]
assert [layer.__name__ for layer in found] == [*{names}]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mixed_precision_keeps_rois_and_outputs_in_float32():
    """A bfloat16 coordinate of 600 would be off by up to 2 pixels: another cell."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(8, 8))
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("fc6").compute_dtype == "bfloat16"
    # 599.9 and 600.1 are one number in bfloat16; rounded to cells they are 37 and 38.
    images = np.random.default_rng(1).normal(0, 50, (1, 640, 640, 3)).astype(np.float32)
    rois = np.array([[[599.9, 0, 639, 639], [600.1, 0, 639, 639]]], np.float32)
    scores = model({"images": images, "rois": rois})["cls_score"]
    assert scores.dtype == "float32"
    assert np.any(scores[0, 0] != scores[0, 1])


def test_any_keras_feature_extractor_can_be_the_trunk():
    def mobilenet(images):
        network = keras.applications.MobileNetV2(
            include_top=False, weights=None, input_tensor=images, alpha=0.35
        )
        return network.get_layer("block_13_expand_relu").output

    trunk = Trunk(mobilenet, stride=16, pool_size=(3, 5), fc_units=(8, 8))
    model = FastRCNN(list("abc"), trunk, weights=None)
    assert model.get_layer("roi_pool").spatial_scale == 1 / 16
    outputs = model(INPUTS)
    assert outputs["cls_score"].shape == (2, 3, 4) and outputs["bbox_pred"].shape == (2, 3, 3, 4)


def test_unknown_trunk_is_named():
    with pytest.raises(InputError, match=r"alexnet.*vgg16"):
        FastRCNN(["a", "b"], "alexnet")
