import h5py
import keras
import numpy as np
import pytest
from keras import layers

from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.models.weights import load_pretrained
from tests.shared_data import shared_data

SQUEEZENET = "weights/squeezenet1.1_imagenet_notop.h5"


def write_hdf5(path, arrays, nested=False):
    """A weight file in the layout of Keras's HDF5 format; `nested` as some converters write."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, (kernel, bias) in arrays.items():
            group = file.create_group(name)
            prefix = f"{name}/" if nested else ""
            group[f"{prefix}{name}_b"] = bias  # before the kernel, as some files have it
            group[f"{prefix}{name}_W"] = kernel


def vgg16_arrays(fc=True, seed=0):
    rng = np.random.default_rng(seed)
    arrays, channels = {}, 3
    for block, (convs, filters) in enumerate(
        [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], start=1
    ):
        for i in range(1, convs + 1):
            shape = (3, 3, channels, filters)
            arrays[f"block{block}_conv{i}"] = rng.random(shape, np.float32), rng.random(filters)
            channels = filters
    if fc:
        arrays["fc1"] = rng.random((25088, 8), np.float32), rng.random(8)
        arrays["fc2"] = rng.random((8, 6), np.float32), rng.random(6)
    return arrays


@pytest.mark.parametrize("nested", [False, True])
def test_vgg16_file_fills_trunk_and_fully_connected_layers(tmp_path, nested):
    arrays = vgg16_arrays()
    write_hdf5(tmp_path / "vgg.h5", arrays, nested)
    model = FastRCNN(list("abc"), weights=str(tmp_path / "vgg.h5"), fc_units=(8, 6))
    for name, (kernel, bias) in arrays.items():
        layer = model.get_layer({"fc1": "fc6", "fc2": "fc7"}.get(name, name))
        np.testing.assert_array_equal(layer.kernel, kernel)
        np.testing.assert_allclose(layer.bias, bias, rtol=1e-6)


def test_pretrained_model_freezes_conv1_and_conv2_and_takes_pixels_as_they_are(tmp_path):
    write_hdf5(tmp_path / "vgg.h5", vgg16_arrays(fc=False))
    model = FastRCNN(list("abc"), weights=str(tmp_path / "vgg.h5"), fc_units=(8, 6))
    frozen = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
    assert frozen == {"block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2"}
    assert "rescale" not in {layer.name for layer in model.layers}


def test_random_model_freezes_nothing():
    model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(8, 6))
    assert all(layer.trainable for layer in model.layers)


def test_real_squeezenet_file_with_its_irregular_keys():
    path = shared_data(SQUEEZENET)
    model = FastRCNN(list("abc"), "squeezenet", None, fc_units=(8, 6))
    loaded = load_pretrained(model, TRUNKS["squeezenet"], str(path))
    assert len(loaded) == 25  # conv1 and three convolutions in each of eight fire modules
    with h5py.File(path) as file:
        np.testing.assert_array_equal(model.get_layer("conv1").kernel, file["conv1/uniform1"])
        np.testing.assert_array_equal(
            model.get_layer("fire9_expand3x3").kernel, file["fire9/expand3x3/uniform25"]
        )
        np.testing.assert_array_equal(
            model.get_layer("fire2_squeeze1x1").bias, file["fire2/squeeze1x1/fire2/squeeze1x1_b"]
        )


def small_network(images):
    """Bias-free, depthwise and separable convolutions and batch normalisation."""
    x = layers.Conv2D(4, 3, 2, use_bias=False, name="conv")(images)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="norm_without_gamma")(x)
    return layers.SeparableConv2D(6, 3, name="separable")(x)


def filled(model):
    """Every weight with numbers of its own."""
    for i, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(i).uniform(0.5, 1, weight.shape))
    return model


SMALL = Trunk(small_network, stride=2, pool_size=(2, 2))


@pytest.mark.parametrize("top", [False, True])
def test_all_weights_of_a_layer_are_loaded_in_their_order(tmp_path, top):
    """From a file that Keras itself writes, with and without a classifier."""
    images = keras.Input((None, None, 3))
    x = small_network(layers.Normalization()(images))  # it has an integer among its weights
    if top:
        x = layers.Dense(9, name="predictions")(layers.GlobalAveragePooling2D()(x))
    source = filled(keras.Model(images, x))
    source.save(tmp_path / "small.h5")
    model = FastRCNN(["a", "b"], SMALL, str(tmp_path / "small.h5"), fc_units=(4, 4))
    assert len(source.get_layer("norm").weights) == 4
    for name in ("conv", "norm", "depthwise", "norm_without_gamma", "separable"):
        expected = source.get_layer(name).weights
        for weight, other in zip(model.get_layer(name).weights, expected, strict=True):
            np.testing.assert_array_equal(weight, other, err_msg=weight.path)


def test_models_within_a_model_are_looked_into(tmp_path, monkeypatch):
    """ConvNeXt has some, whose layers are the trunk's own."""
    images = keras.Input((None, None, 3))
    stem = keras.Sequential(
        [layers.Conv2D(4, 2, 2, name="stem_conv"), layers.LayerNormalization(name="stem_norm")],
        name="stem",
    )
    source = filled(keras.Model(images, layers.Conv2D(5, 1, name="conv")(stem(images))))
    source.save(tmp_path / "nested.h5")

    def build(images):
        x = layers.Conv2D(4, 2, 2, name="stem_conv")(images)
        x = layers.LayerNormalization(name="stem_norm")(x)
        return layers.Conv2D(5, 1, name="conv")(x)

    monkeypatch.setattr(keras.applications, "VGG16", lambda **kw: source)
    trunk = Trunk(build, stride=2, application="VGG16")
    for weights in (str(tmp_path / "nested.h5"), "imagenet"):
        model = FastRCNN(["a", "b"], trunk, weights, fc_units=(4, 4))
        found = [
            w for name in ("stem_conv", "stem_norm", "conv") for w in model.get_layer(name).weights
        ]
        for weight, other in zip(found, source.weights, strict=True):
            np.testing.assert_array_equal(weight, other)


def test_a_layer_of_other_weights_is_named_with_both_shapes(tmp_path):
    images = keras.Input((None, None, 3))
    x = layers.BatchNormalization(scale=False, name="norm")(
        layers.Conv2D(4, 3, 2, use_bias=False, name="conv")(images)
    )
    keras.Model(images, x).save(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"other\.h5: layer norm .*(\(4,\).*){7}") as error:
        FastRCNN(["a", "b"], SMALL, str(tmp_path / "other.h5"), fc_units=(4, 4))
    assert "\n" not in str(error.value)


def test_names_too_many_for_one_attribute(tmp_path):
    """HDF5 has a limit, beyond which Keras writes several."""
    rng = np.random.default_rng(0)
    arrays = {f"layer_{i}": (rng.random((1, 1, 2, 2)), rng.random(2)) for i in range(12)}
    write_hdf5(tmp_path / "many.h5", arrays)
    with h5py.File(tmp_path / "many.h5", "a") as file:
        names = file.attrs.pop("layer_names")
        for i in range(11):  # of one name each, the last of two
            file.attrs[f"layer_names{i}"] = names[i : i + 1 if i < 10 else None]
    trunk = Trunk(
        lambda x: [
            x := layers.Conv2D(2, 1, name=f"layer_{i}")(x if i else x[..., :2]) for i in range(12)
        ][-1],
        stride=1,
    )
    model = FastRCNN(["a"], trunk, str(tmp_path / "many.h5"), fc_units=(2, 2))
    for name, (kernel, _) in arrays.items():
        np.testing.assert_allclose(model.get_layer(name).kernel, kernel, rtol=1e-6)


def test_imagenet_weights_come_from_keras(tmp_path, monkeypatch):
    """By the code of Keras, up to the download."""
    source = filled(keras.applications.MobileNetV3Small(weights=None, include_top=False))
    source.save(tmp_path / "published.h5")
    asked = []

    def get_file(name, *args, **kw):
        asked.append(name)
        return str(tmp_path / "published.h5")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    model = FastRCNN(["a", "b"], "mobilenet_v3_small", "imagenet", fc_units=(4, 4))
    assert asked == ["weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"]
    for name in ("conv_bn", "expanded_conv_9_depthwise", "expanded_conv_9_squeeze_excite_conv"):
        for weight, other in zip(
            model.get_layer(name).weights, source.get_layer(name).weights, strict=True
        ):
            np.testing.assert_array_equal(weight, other)
    names = {layer.name for layer in model.layers}
    assert "normalized_rgb" in names and "rescale" not in names


def test_a_failed_download_is_named(monkeypatch):
    def get_file(*args, **kw):
        raise OSError("no route to host")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(InputError, match=r"weights of MobileNetV3Small: no route to host\. Give"):
        FastRCNN(["a", "b"], "mobilenet_v3_small", "imagenet", fc_units=(4, 4))


def test_a_trunk_without_imagenet_weights_says_so():
    with pytest.raises(InputError, match="no ImageNet weights"):
        FastRCNN(["a", "b"], "squeezenet", "imagenet", fc_units=(4, 4))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.h5"):
        FastRCNN(list("abc"), "squeezenet", str(tmp_path / "nowhere.h5"))


def test_other_files_are_named(tmp_path):
    (tmp_path / "text.h5").write_text("not weights")
    with pytest.raises(InputError, match=r"text\.h5.*not an HDF5"):
        FastRCNN(list("abc"), "squeezenet", str(tmp_path / "text.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(InputError, match=r"other\.h5.*layer_names"):
        FastRCNN(list("abc"), "squeezenet", str(tmp_path / "other.h5"))


def test_weights_of_another_network_name_the_layer(tmp_path):
    arrays = vgg16_arrays(fc=False)
    write_hdf5(tmp_path / "vgg.h5", arrays)
    with pytest.raises(InputError, match="layer conv1"):
        FastRCNN(list("abc"), "squeezenet", str(tmp_path / "vgg.h5"))
    arrays["block3_conv2"] = (np.zeros((3, 3, 256, 128)), np.zeros(128))
    write_hdf5(tmp_path / "odd.h5", arrays)
    with pytest.raises(InputError, match="layer block3_conv2"):
        FastRCNN(list("abc"), weights=str(tmp_path / "odd.h5"), fc_units=(8, 6))
