import keras
import numpy as np
import pytest

from keras_frcnn.training.callbacks import StepDecay
from keras_frcnn.training.optimizer import SGD


def test_survives_a_saved_model(tmp_path):
    """Momentum and step come back: the third step after loading equals the uninterrupted one."""
    x, y = np.ones((4, 5), np.float32), np.zeros((4, 3), np.float32)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.compile(SGD(0.01, 0.9, l2=0.1, bias_rate=3.0), "mse")
    for _ in range(2):
        model.train_on_batch(x, y)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.optimizer.get_config()["l2"] == 0.1
    model.train_on_batch(x, y)
    again.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(again.optimizer.iterations.numpy()) == 3


def test_step_decay_table():
    schedule = StepDecay(0.001, [30000, 60000])
    table = {0: 1e-3, 29999: 1e-3, 30000: 1e-4, 59999: 1e-4, 60000: 1e-5}
    for step, rate in table.items():
        assert schedule.rate_at(step) == pytest.approx(rate)


def test_warmup_rises_linearly():
    schedule = StepDecay(0.1, [], warmup=4)
    rates = [schedule.rate_at(s) for s in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
