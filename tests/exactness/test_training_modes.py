"""What a training step must leave alone, and what only training does."""

import keras
import numpy as np
import pytest

from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.training.optimizer import SGD
from tests.exactness import tiny

FROZEN_IN_THE_PAPER = {f"block{b}_conv{i}" for b in (1, 2) for i in (1, 2)}  # conv1_1 to conv2_2
rng = np.random.default_rng(0)
IMAGES = rng.normal(0, 50, (2, 32, 48, 3)).astype(np.float32)
ROIS = np.array([[[0, 0, 47, 31], [5, 5, 30, 30], [9, 0, 40, 31]]] * 2, np.float32)
INPUTS = {"images": IMAGES, "rois": ROIS}
LABELS = np.array([[1, 2, 0], [2, 0, -1]])
ROWS = np.concatenate([LABELS[..., None], rng.normal(size=(2, 3, 4))], axis=-1)
TARGETS = {"cls_score": LABELS, "bbox_pred": ROWS.astype(np.float32)}


def compiled(model):
    std = np.ones((2, 4))
    model.compile(
        SGD(0.01, l2=0.1),  # decay moves even what has no gradient, unless it is left out
        {"cls_score": ClassificationLoss(), "bbox_pred": BoxRegressionLoss(std)},
        jit_compile=False,
    )
    return model


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """VGG16 with weights read from a file, as fine-tuning starts."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vgg16.h5"
    keras.applications.VGG16(include_top=False, weights=None).save(path)
    return compiled(FastRCNN(["a", "b"], weights=str(path), fc_units=(8, 8)))


def test_frozen_layers_keep_every_bit(vgg16):
    before = {v.path: v.numpy() for v in vgg16.variables}
    for _ in range(2):
        vgg16.train_on_batch(INPUTS, TARGETS)
    moved = {v.path.split("/")[0] for v in vgg16.variables if (v.numpy() != before[v.path]).any()}
    layers = {
        layer.name
        for layer in vgg16.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    }
    assert layers >= FROZEN_IN_THE_PAPER
    assert layers - FROZEN_IN_THE_PAPER <= moved
    assert not moved & FROZEN_IN_THE_PAPER
    for v in vgg16.variables:
        if v.path.split("/")[0] in FROZEN_IN_THE_PAPER:
            np.testing.assert_array_equal(v.numpy(), before[v.path])


def test_both_kernel_and_bias_of_every_other_layer_move(vgg16):
    assert len(vgg16.trainable_variables) == 2 * (13 - 4 + 2 + 2)
    before = [v.numpy() for v in vgg16.trainable_variables]
    vgg16.train_on_batch(INPUTS, TARGETS)
    for v, old in zip(vgg16.trainable_variables, before, strict=True):
        assert (v.numpy() != old).any(), v.path


def test_normalisation_of_the_targets_is_not_trained():
    model = tiny.tiny_model()
    layer = model.get_layer("bbox_pred")
    assert not layer.trainable_variables
    x = rng.normal(size=(1, 1, tiny.CLASSES, 4)).astype(np.float32)
    model.train_on_batch(*tiny.as_keras(*tiny.batch(0)))
    np.testing.assert_allclose(layer(x), x * tiny.STD + tiny.MEAN, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def wide():
    return tiny.tiny_model(dropout=0.5, fc_units=(2000, 3000))


def test_dropout_only_in_training(wide):
    x, y = tiny.as_keras(*tiny.batch(0))
    first, second = (wide.predict(x, verbose=0) for _ in range(2))
    for key, expected in first.items():
        np.testing.assert_array_equal(second[key], expected)
    losses = [wide.test_on_batch(x, y) for _ in range(2)]
    np.testing.assert_array_equal(*losses)
    once, twice = (wide(x, training=True)["cls_score"].numpy() for _ in range(2))
    assert (once != twice).any() and (once != first["cls_score"]).any()
    trained, again = (wide.train_on_batch(x, y) for _ in range(2))
    assert trained[0] != losses[0][0] and trained[0] != again[0]


def test_half_of_fc6_and_of_fc7_is_dropped_and_the_rest_doubled(wide):
    for name in ("fc6", "fc7"):
        dropped = keras.Model(
            wide.inputs, [wide.get_layer(name).output, wide.get_layer(f"drop_{name}").output]
        )
        x, _ = tiny.as_keras(*tiny.batch(0))
        before, after = dropped(x, training=False)
        np.testing.assert_array_equal(before, after)
        before, after = (x.numpy() for x in dropped(x, training=True))
        kept = after != 0
        np.testing.assert_allclose(after[kept], 2 * before[kept], rtol=1e-6)
        count, total = kept.sum(), (before > 0).sum()
        assert abs(count - total / 2) < 4 * np.sqrt(total) / 2  # binomial, four deviations
        assert (kept[0, 0] != kept[0, 1]).any()  # every RoI has its own mask


def test_dropout_of_one_seed_is_the_same():
    x, _ = tiny.as_keras(*tiny.batch(0))
    models = [tiny.tiny_model(dropout=0.5, fc_units=(32, 32)) for _ in range(2)]
    scores = [model(x, training=True)["cls_score"].numpy() for model in models]
    np.testing.assert_array_equal(*scores)


def test_every_trunk_freezes_what_the_paper_does():
    assert set(TRUNKS["vgg16"].frozen()) == FROZEN_IN_THE_PAPER
    assert TRUNKS["vgg_cnn_m_1024"].frozen() == ["conv1"]
