import keras
import numpy as np

from keras_frcnn.training.losses import BoxRegressionLoss, ClassificationLoss

LABELS = np.array([[2, 0, -1], [1, 0, 0]])


def test_classification_loss_is_the_mean_log_loss_of_real_rois():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    real = [(n, r) for n in range(2) for r in range(3) if LABELS[n, r] >= 0]
    expected = -sum(np.log(p[n, r, LABELS[n, r]]) for n, r in real) / 5
    np.testing.assert_allclose(ClassificationLoss()(LABELS, logits), expected, rtol=1e-6)


def test_box_loss_is_the_papers_formula():
    rng = np.random.default_rng(1)
    std = rng.uniform(0.1, 0.5, (3, 4)).astype(np.float32)
    v = rng.normal(size=(2, 3, 4)).astype(np.float32)
    t = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    expected = 0.0
    for n in range(2):
        for r in range(3):
            u = LABELS[n, r]
            if u >= 1:
                for i in range(4):
                    x = abs(t[n, r, u - 1, i] - v[n, r, i]) / std[u - 1, i]
                    expected += 0.5 * x**2 if x < 1 else x - 0.5
    y_true = np.concatenate([LABELS[..., None], v], axis=-1)
    loss = BoxRegressionLoss(std, weight=2.0)
    np.testing.assert_allclose(loss(y_true, t), 2 * expected / 5, rtol=1e-5)


def test_smooth_l1_on_both_sides_of_one():
    y_true = np.array([[[1, 0, 0, 0, 0]]], np.float32)
    y_pred = np.array([[[[0.5, -1.0, 3.0, 0.0]]]], np.float32)
    loss = BoxRegressionLoss(np.ones((1, 4)))
    np.testing.assert_allclose(loss(y_true, y_pred), 0.125 + 0.5 + 2.5)


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
