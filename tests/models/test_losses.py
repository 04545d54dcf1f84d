"""What the losses leave out, and their files; `tests/exactness/test_loss.py` has their values."""

import keras
import numpy as np

from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss


def test_background_has_no_box_loss_and_padding_none_at_all():
    y_true = np.array([[[0, 9, 9, 9, 9], [-1, 9, 9, 9, 9]]], np.float32)
    y_pred = np.full((1, 2, 2, 4), 5, np.float32)
    assert BoxRegressionLoss(np.ones((2, 4)))(y_true, y_pred) == 0
    logits = np.random.default_rng(0).normal(size=(1, 2, 3)).astype(np.float32)
    assert ClassificationLoss()(np.array([[-1, -1]]), logits) == 0


def test_losses_survive_serialisation():
    std = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    config = keras.losses.serialize(BoxRegressionLoss(std, weight=0.5))
    again = keras.losses.deserialize(config)
    np.testing.assert_array_equal(again.std, std)
    assert again.weight == 0.5
