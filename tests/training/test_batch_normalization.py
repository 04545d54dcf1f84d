"""What training, files, another run and export do with a trunk of bias-free convolutions,
batch normalisation, depthwise convolutions and operations that are no layers."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.export.frozen import TracedDetector
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.svd import compress
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.runs.directory import save_settings
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.optimizer import SGD
from tests.images import colored_rectangles, random_proposals

TRUNK = "mobilenet_v3_small"
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(0, 50, (2, 64, 80, 3)).astype(np.float32)
ROIS = np.array([[[0, 0, 79, 63], [5, 5, 30, 30], [9, 0, 40, 31]]] * 2, np.float32)
INPUTS = {"images": IMAGES, "rois": ROIS}
LABELS = np.array([[1, 2, 0], [2, 0, -1]])
ROWS = np.concatenate([LABELS[..., None], RNG.normal(size=(2, 3, 4))], axis=-1)
TARGETS = {"cls_score": LABELS, "bbox_pred": ROWS.astype(np.float32)}


def statistics(model):
    """All weights of batch normalisation by their paths."""
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    return {w.path: w.numpy() for layer in norms for w in layer.weights}


def assert_equal(found, expected):
    assert found.keys() == expected.keys() and expected
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


def compiled(model):
    model.compile(
        SGD(0.001, l2=0.1),  # decay would move what has no gradient
        {"cls_score": ClassificationLoss(), "bbox_pred": BoxRegressionLoss(np.ones((2, 4)))},
        jit_compile=False,
    )
    return model


@pytest.fixture(scope="module")
def trained():
    """The model after ten steps, and what batch normalisation held before."""
    keras.utils.set_random_seed(0)
    model = FastRCNN(["a", "b"], TRUNK, None, fc_units=(16, 8))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    compiled(model)
    before = {w.path: w.numpy() for w in model.weights}, statistics(model)
    for _ in range(10):
        model.train_on_batch(INPUTS, TARGETS)
    return model, *before


def test_training_moves_all_but_batch_normalisation(trained):
    model, before, norms = trained
    assert_equal(statistics(model), norms)
    moved = {w.path for w in model.weights if np.any(w.numpy() != before[w.path])}
    assert {w.path for w in model.trainable_weights} == before.keys() - norms.keys()
    # A ReLU that is never positive stops the gradient of what feeds it alone.
    assert len(moved) > 0.9 * len(model.trainable_weights)


def test_training_in_mixed_precision_leaves_them():
    def build(images):
        x = layers.Conv2D(8, 3, 4, padding="same", use_bias=False, name="conv")(images)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.DepthwiseConv2D(3, padding="same", dilation_rate=2, name="depthwise")(x)
        return layers.ReLU(name="relu")(x)

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = compiled(FastRCNN(["a", "b"], Trunk(build, stride=4, fc_units=(8, 8)), None))
    finally:
        keras.config.set_dtype_policy(policy)
    norms = statistics(model)
    before = model.get_layer("conv").kernel.numpy()
    for _ in range(10):
        model.train_on_batch(INPUTS, TARGETS)
    assert_equal(statistics(model), norms)
    assert np.any(model.get_layer("conv").kernel.numpy() != before)


def test_files_keep_them_frozen(trained, tmp_path):
    model, _, norms = trained
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for key, expected in model(INPUTS).items():
        np.testing.assert_array_equal(again(INPUTS)[key], expected)
    assert_equal(statistics(again), norms)
    assert {w.path for w in again.trainable_weights} == {w.path for w in model.trainable_weights}
    for new, old in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(new, old)


def test_another_run_starts_with_them(trained, tmp_path, monkeypatch):
    model, _, norms = trained
    settings = Settings(
        "rectangles", "", ("one", "two"), TRUNK, None, fc_units=(16, 8), precision="float32"
    )
    save_settings(tmp_path, settings)
    monkeypatch.setattr(
        "keras_frcnn.training.fine_tuning.load_checkpoint", lambda run, settings: model
    )
    dataset = colored_rectangles(tmp_path, [(60, 70)], [[(5, 5, 40, 40)]], labels=[[1]])
    dataset = replace(dataset, class_names=("one", "two"))
    new = build_and_compile(
        ImageSet(dataset, random_proposals(dataset)), replace(settings, initial=str(tmp_path))
    )
    assert_equal(statistics(new), norms)
    np.testing.assert_allclose(
        new(INPUTS)["cls_score"], model(INPUTS)["cls_score"], rtol=1e-5, atol=1e-6
    )
    trained_layers = {w.path.split("/")[0] for w in new.trainable_weights}
    assert "expanded_conv_1_expand" in trained_layers
    assert not {"conv", "expanded_conv_project"} & trained_layers


def test_export_in_bfloat16_computes_what_mixed_precision_does(trained):
    model, _, norms = trained
    mixed, half = (with_precision(model, p) for p in ("mixed_bfloat16", "bfloat16"))
    assert half.get_layer("conv").kernel.dtype == "bfloat16"
    assert_equal(statistics(half), norms)  # in float32, to the last bit
    for key, expected in mixed(INPUTS).items():
        np.testing.assert_allclose(half(INPUTS)[key], expected, rtol=0.02, atol=0.02)


def test_export_freezes_and_compresses_them(trained):
    model, _, norms = trained
    compressed = compress(model, {"fc6": 16, "fc7": 8})  # full rank
    assert_equal(statistics(compressed), norms)
    detector = Detector(compressed, TRUNKS[TRUNK].pixel_means, min_side=64, max_side=80)
    found = TracedDetector(detector, compressed).network(IMAGES, ROIS)
    for key, expected in model(INPUTS).items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-3, atol=1e-4)
