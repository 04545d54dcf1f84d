import keras
import numpy as np
import pytest

from keras_frcnn.errors import InputError
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


def weights_after_three_steps(optimizer):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    model.compile(optimizer, "mse")
    for _ in range(3):
        model.train_on_batch(rng.normal(size=(4, 5)), rng.normal(size=(4, 3)))
    optimizer.finalize_variable_values(model.trainable_variables)  # as `fit` does, for the average
    return model.get_weights()


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 0.1},
        {"clipvalue": 0.05},
        {"global_clipnorm": 0.1},
        {"use_ema": True, "ema_momentum": 0.5},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
        {"loss_scale_factor": 8.0},
        {"gradient_accumulation_steps": 2},
        {"learning_rate": keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 0.01])},
    ],
    ids="-".join,  # of the names: an object's text differs from process to process
)
def test_what_keras_takes_has_keras_effect(options):
    """Without decay and with one rate for all, the update is that of Keras's own SGD."""
    ours = SGD(**{"learning_rate": 0.1, "l2": 0.0, "bias_rate": 1.0, **options})
    theirs = keras.optimizers.SGD(**{"learning_rate": 0.1, "momentum": 0.9, **options})
    plain = SGD(0.1, l2=0.0, bias_rate=1.0)
    found, expected = weights_after_three_steps(ours), weights_after_three_steps(theirs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    if "loss_scale_factor" not in options:  # which changes nothing but roundings
        unlike = weights_after_three_steps(plain)
        assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(found, unlike, strict=True))


@pytest.mark.parametrize("option, word", [("nesterov", "Caffe"), ("weight_decay", "l2")])
def test_what_would_be_ignored_is_refused(option, word):
    with pytest.raises(InputError, match=f"{option}.*{word}"):
        SGD(0.1, **{option: 0.01})
    SGD(0.1, nesterov=False, weight_decay=None)


def test_step_decay_table():
    schedule = StepDecay(0.001, [30000, 60000])
    table = {0: 1e-3, 29999: 1e-3, 30000: 1e-4, 59999: 1e-4, 60000: 1e-5}
    for step, rate in table.items():
        assert schedule.rate_at(step) == pytest.approx(rate)


def test_warmup_rises_linearly():
    schedule = StepDecay(0.1, [], warmup=4)
    rates = [schedule.rate_at(s) for s in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
