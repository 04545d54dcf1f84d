import keras
import numpy as np
import pytest

from keras_frcnn.callbacks import StepDecay
from keras_frcnn.optimizer import SGD


def caffe_sgd(w, gradients, rates, momentum, decay):
    """The update rule of the paper's solver, in float64."""
    w, v = w.astype(np.float64), np.zeros_like(w, np.float64)
    for g, rate in zip(gradients, rates, strict=True):
        v = momentum * v - rate * (g + decay * w)
        w = w + v
    return w


@pytest.mark.parametrize("bias_decay", [True, False])
def test_ten_steps_equal_numpy(bias_decay):
    rng = np.random.default_rng(0)
    layer = keras.layers.Dense(3)
    layer.build((None, 5))
    optimizer = SGD(0.01, 0.9, l2=0.05, bias_decay=bias_decay)
    start = [w.copy() for w in layer.get_weights()]
    gradients = [[rng.normal(size=w.shape).astype(np.float32) for w in start] for _ in range(10)]
    rates = [0.01] * 6 + [0.001] * 4
    for rate, (kernel, bias) in zip(rates, gradients, strict=True):
        optimizer.learning_rate.assign(rate)
        optimizer.apply(
            [keras.ops.convert_to_tensor(kernel), keras.ops.convert_to_tensor(bias)],
            layer.trainable_variables,
        )
    kernel = caffe_sgd(start[0], [g[0] for g in gradients], rates, 0.9, 0.05)
    bias_rates = [2 * r for r in rates]
    bias = caffe_sgd(
        start[1], [g[1] for g in gradients], bias_rates, 0.9, 0.05 if bias_decay else 0
    )
    np.testing.assert_allclose(layer.kernel, kernel, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer.bias, bias, rtol=1e-5, atol=1e-7)


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
