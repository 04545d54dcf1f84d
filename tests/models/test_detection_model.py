"""What a model knows, and how it comes through files, clones and `compile`."""

import keras
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.svd import compress
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.training.optimizer import SGD
from tests.exactness import tiny

NAMES = ("cat", "żółw")
MEAN = np.float32([[0.01, -0.02, 0.03, 0.1], [0.1, 0.2, 0.3, 0.4]])
STD = np.float32([[0.1, 0.1, 0.2, 0.2], [0.3, 0.1, 0.7, 0.9]])


def knowledge(model):
    return {
        "class_names": model.class_names,
        "trunk": model.trunk,
        "pixel_means": model.pixel_means,
        "min_side": model.min_side,
        "max_side": model.max_side,
        "target_mean": model.target_mean.tolist(),
        "target_std": model.target_std.tolist(),
    }


EXPECTED = {
    "class_names": NAMES,
    "trunk": "squeezenet",
    "pixel_means": TRUNKS["squeezenet"].pixel_means,
    "min_side": (48, 64),
    "max_side": 100,
    "target_mean": MEAN.tolist(),
    "target_std": STD.tolist(),
}


@pytest.fixture(scope="module")
def model():
    return FastRCNN(NAMES, "squeezenet", None, (MEAN, STD), (8, 8), min_side=(48, 64), max_side=100)


def batch():
    images, rois = np.zeros((1, 32, 48, 3), np.float32), np.float32([[[0, 0, 40, 30]]])
    rows = np.float32([[[1, 0.5, 0.5, 0.5, 0.5]]])
    return {"images": images, "rois": rois}, {"cls_score": np.int32([[1]]), "bbox_pred": rows}


def test_all_it_knows_is_in_the_file(model, tmp_path):
    assert knowledge(model) == EXPECTED
    model.save(tmp_path / "model.keras")
    assert knowledge(keras.models.load_model(tmp_path / "model.keras")) == EXPECTED


def test_converted_models_know_it_too(model):
    assert knowledge(with_precision(model, "bfloat16")) == EXPECTED
    assert knowledge(compress(model, {"fc6": 2})) == EXPECTED


def test_a_trunk_of_ones_own_and_the_usual_targets():
    trunk = Trunk(tiny.tiny_trunk, 8, pixel_means=(1, 2, 3), pool_size=(2, 2), fc_units=(4, 4))
    model = FastRCNN(["cat"], trunk, None, min_side=32)
    assert (model.trunk, model.pixel_means, model.min_side) == (None, (1.0, 2.0, 3.0), (32,))
    np.testing.assert_array_equal(model.target_mean, np.zeros((1, 4)))
    np.testing.assert_array_equal(model.target_std, np.float32([[0.1, 0.1, 0.2, 0.2]]))


def test_compile_takes_the_losses_of_the_paper_with_the_models_deviations(model):
    model.compile(SGD(0.01), box_loss_weight=0.7)
    assert model.jit_compile is False
    x, y = batch()
    losses = model.test_on_batch(x, y, return_dict=True)
    outputs = model(x)
    box_loss = BoxRegressionLoss(STD, 0.7)(y["bbox_pred"], outputs["bbox_pred"])
    cls_loss = ClassificationLoss()(y["cls_score"], outputs["cls_score"])
    assert losses["bbox_pred_loss"] == pytest.approx(float(box_loss), rel=1e-6)
    assert losses["cls_score_loss"] == pytest.approx(float(cls_loss), rel=1e-6)
    assert losses["loss"] == pytest.approx(float(cls_loss + box_loss), rel=1e-6)
    assert losses["cls_score_foreground_share"] == 1


def test_another_loss_stays_as_it_is_given(model):
    loss = {"cls_score": ClassificationLoss(), "bbox_pred": BoxRegressionLoss(np.ones((2, 4)))}
    model.compile(SGD(0.01), loss)
    x, y = batch()
    losses = model.test_on_batch(x, y, return_dict=True)
    expected = loss["bbox_pred"](y["bbox_pred"], model(x)["bbox_pred"])
    assert losses["bbox_pred_loss"] == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(InputError, match="box_loss_weight"):
        model.compile(SGD(0.01), loss, box_loss_weight=0.5)


def test_a_compiled_model_goes_on_from_its_file(tmp_path):
    first = tiny.tiny_model()
    first.compile(SGD(0.01), box_loss_weight=0.7)
    data = tiny.as_keras(*tiny.batch(0))
    first.train_on_batch(*data)
    first.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, SGD) and again.jit_compile is False
    assert again.loss["bbox_pred"].weight == 0.7
    for model in (first, again):
        model.train_on_batch(*data)
    assert "cls_score_foreground_share" in again.test_on_batch(*data, return_dict=True)
    for a, b in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_a_clone_that_nobody_has_told_asks_for_a_loss(model):
    with pytest.raises(InputError, match="target_std"):
        keras.models.clone_model(keras.models.clone_model(model)).compile(SGD(0.01))


@pytest.mark.parametrize("names", ["cat", [], ["cat", "cat"], [1, 2]])
def test_impossible_class_names_are_refused(names):
    with pytest.raises(InputError, match="class_names"):
        FastRCNN(names, "squeezenet", None)


@pytest.mark.parametrize(
    "targets", [(0, 0), (np.zeros((3, 4)), np.ones((3, 4))), (0, np.inf), (0,), 5, (0, "a")]
)
def test_impossible_targets_are_refused(targets):
    with pytest.raises(InputError, match="targets"):
        FastRCNN(NAMES, "squeezenet", None, targets)
