"""Which layers are trained, and detectors that start from those of another run."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.runs.directory import save_settings
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.fine_tuning import TrainedDetector
from tests.images import colored_rectangles, random_proposals

SETTINGS = Settings(
    "rectangles",
    "",
    ("one", "two"),
    trunk="squeezenet",
    fc_units=(16, 8),
    min_side=(64,),
    max_side=100,
    precision="float32",
)
RNG = np.random.default_rng(0)
INPUTS = {
    "images": RNG.normal(0, 50, (1, 64, 80, 3)).astype(np.float32),
    "rois": np.array([[[0, 0, 79, 63], [10, 20, 60, 50]]], np.float32),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return colored_rectangles(
        tmp_path_factory.mktemp("images"),
        [(60, 70), (70, 60)],
        [[(5, 5, 40, 40)], [(10, 20, 50, 60)]],
        labels=[[1], [2]],
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run of two classes, normalised by statistics unlike those of `dataset`."""
    run = tmp_path_factory.mktemp("source")
    keras.utils.set_random_seed(1)
    mean = np.linspace(-1, 1, 8).reshape(2, 4)
    std = np.linspace(0.1, 2, 8).reshape(2, 4)
    model = FastRCNN(["one", "two"], "squeezenet", None, (mean, std), (16, 8))
    for layer in model.layers:
        if hasattr(layer, "bias"):
            layer.bias.assign(RNG.normal(0, 0.1, layer.bias.shape))
    model.save(run / "checkpoint.keras")
    save_settings(run, SETTINGS)
    return run, model


@pytest.fixture(autouse=True)
def checkpoint_of_the_source(source, monkeypatch):
    """What a run keeps its checkpoints in is not the matter here."""
    monkeypatch.setattr(
        "keras_frcnn.training.fine_tuning.load_checkpoint",
        lambda run, settings: keras.saving.load_model(run / "checkpoint.keras", compile=False),
    )


def built(dataset, **changes):
    settings = replace(SETTINGS, **changes)
    keras.utils.set_random_seed(2)
    return build_and_compile(ImageSet(dataset, random_proposals(dataset)), settings)


def test_same_classes_give_the_same_detector(source, dataset):
    """Also the boxes, although the new data set has statistics of its own."""
    run, trained = source
    model = built(dataset, initial=str(run))
    old, new = trained.get_layer("bbox_pred"), model.get_layer("bbox_pred")
    assert np.abs(np.asarray(old.variance) - np.asarray(new.variance)).min() > 1e-3
    for key, expected in trained(INPUTS).items():
        np.testing.assert_allclose(model(INPUTS)[key], expected, rtol=1e-4, atol=1e-5)


def test_other_classes_keep_all_but_the_last_layers(source, dataset):
    run, trained = source
    for names in (("one", "three"), ("one", "two", "three"), ("two", "one")):
        other = replace(dataset, class_names=names)
        model = built(other, initial=str(run), class_names=names)
        for layer in model.layers:
            if not hasattr(layer, "kernel"):
                continue
            old = trained.get_layer(layer.name)
            if layer.name in ("cls_score", "bbox_deltas"):
                assert not np.any(layer.bias)
                shape = layer.kernel.shape
                assert shape != old.kernel.shape or np.any(layer.kernel != old.kernel)
            else:
                np.testing.assert_array_equal(layer.kernel, old.kernel)
                np.testing.assert_array_equal(layer.bias, old.bias)


def test_lowest_layers_are_frozen_as_with_pretrained_weights(source, dataset):
    def frozen(**changes):
        model = built(dataset, initial=str(source[0]), **changes)
        return {layer.name for layer in model.layers if layer.weights and not layer.trainable}

    assert frozen() == {"conv1"}
    assert frozen(finetune_from="conv1") == set()
    fire = {f"fire2_{part}" for part in ("squeeze1x1", "expand1x1", "expand3x3")}
    assert frozen(finetune_from="fire3") == {"conv1"} | fire


def test_a_detector_of_scaled_pixels_stays_one(source, dataset):
    model = built(dataset, initial=str(source[0]))
    assert any(layer.name == "rescale" for layer in model.layers)


def test_what_does_not_fit_is_named(source, dataset, tmp_path):
    run, _ = source
    with pytest.raises(InputError, match=f"{run}: its layer fc6.*fc_units"):
        built(dataset, initial=str(run), fc_units=(32, 8))
    with pytest.raises(InputError, match=f"{run}: its trunk is squeezenet, not vgg16"):
        TrainedDetector(str(run), replace(SETTINGS, trunk="vgg16"))
    with pytest.raises(InputError, match=f"{tmp_path}: not a run"):
        TrainedDetector(str(tmp_path), SETTINGS)


@pytest.mark.parametrize(
    "first, count",  # table 5 of the paper compares fc6, conv3_1 and conv2_1
    [("conv1_1", 0), ("conv2_1", 2), (None, 4), ("conv3_1", 4), ("conv5_3", 12), ("fc6", 13)],
)
def test_layers_of_vgg16_before_the_one_that_is_tuned(first, count):
    blocks = [(b, i) for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
    names = [f"block{b}_conv{i}" for b, i in blocks]
    assert TRUNKS["vgg16"].frozen(first) == names[:count]


# Those of Keras's applications are tested in tests/models/test_applications.py.
@pytest.mark.parametrize("trunk", ["vgg16", "vgg_cnn_m_1024", "squeezenet"])
def test_the_parts_of_a_trunk_are_all_its_layers_with_weights(trunk):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, TRUNKS[trunk].build(images))
    with_weights = [layer.name for layer in model.layers if layer.weights]
    assert sorted(TRUNKS[trunk].frozen("fc6")) == sorted(with_weights)


def test_unknown_layers_are_named():
    with pytest.raises(InputError, match=r"'conv3' is unknown, the nearest is 'conv3_1'.*conv1_1"):
        replace(SETTINGS, trunk="vgg16", weights="imagenet", finetune_from="conv3")


def test_random_weights_are_not_frozen():
    with pytest.raises(InputError, match="finetune_from"):
        replace(SETTINGS, finetune_from="fire2")


def test_a_trunk_without_parts_is_trained_whole():
    assert Trunk(build=None, stride=16).frozen() == []


def test_bias_decay_reaches_the_optimizer(dataset):
    for decays in (True, False):
        assert built(dataset, bias_decay=decays).optimizer.bias_decay is decays
