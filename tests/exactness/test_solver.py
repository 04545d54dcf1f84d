"""The solver and its schedule against ten steps of Caffe's SGD in NumPy."""

import keras
import numpy as np
import pytest

from keras_frcnn.training.callbacks import StepDecay
from keras_frcnn.training.optimizer import SGD
from tests.exactness import formulas

RATE, DROPS, WARMUP = 0.02, (5, 8), 3
SHAPES = [(5, 4), (4,), (4, 3), (3,)]  # kernel and bias of two layers
IS_BIAS = [False, True, False, True]


def weights_and_gradients():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=s).astype(np.float32) for s in SHAPES]
    return weights, [[rng.normal(size=s).astype(np.float32) for s in SHAPES] for _ in range(10)]


def model_of(weights, dtype="float32", **solver):
    """Two dense layers with these weights, compiled with the solver."""
    layers = [keras.layers.Dense(4, dtype=dtype), keras.layers.Dense(3, dtype=dtype)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    model.set_weights(weights)
    model.compile(SGD(RATE, **solver), "mse", jit_compile=False)
    return model


def run(model, gradients, first=0):
    """Apply gradients by the schedule, which asks the optimizer what the step is."""
    schedule = StepDecay(RATE, DROPS, warmup=WARMUP)
    schedule.set_model(model)
    for step, one in enumerate(gradients, first):
        assert int(model.optimizer.iterations.numpy()) == step
        schedule.on_train_batch_begin(step - first)
        model.optimizer.apply(
            [keras.ops.convert_to_tensor(g) for g in one], model.trainable_variables
        )


def expected(weights, gradients, **solver):
    numpy_solver = formulas.Solver(weights, IS_BIAS, **solver)
    for step, one in enumerate(gradients):
        numpy_solver.step(one, formulas.rate_at(step, RATE, DROPS, warmup=WARMUP))
    return numpy_solver.weights


def assert_equal(found, wanted, start):
    for a, b, before in zip(found, wanted, start, strict=True):
        assert np.abs(b - before).max() > 1e-2  # it has moved far more than the tolerance
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_rates_of_the_ten_steps():
    """The table the other tests go by, worked by hand."""
    rates = [formulas.rate_at(step, RATE, DROPS, warmup=WARMUP) for step in range(10)]
    table = [0.02 / 3, 0.04 / 3] + [0.02] * 3 + [0.002] * 3 + [0.0002] * 2
    np.testing.assert_allclose(rates, table, rtol=1e-12)


@pytest.mark.parametrize(
    "momentum, decay, bias_decay",
    [(0.9, 0.0005, True), (0.9, 0.3, True), (0.9, 0.3, False), (0.0, 0.3, True), (0.9, 0.0, True)],
)
def test_ten_steps(momentum, decay, bias_decay):
    weights, gradients = weights_and_gradients()
    model = model_of(weights, momentum=momentum, l2=decay, bias_decay=bias_decay)
    run(model, gradients)
    wanted = expected(weights, gradients, momentum=momentum, decay=decay, bias_decay=bias_decay)
    assert_equal(model.get_weights(), wanted, weights)


@pytest.mark.parametrize("stop", [1, 4, 5, 9])
def test_resumed_in_the_middle(stop, tmp_path):
    """Saved and loaded after `stop` steps: the same bits as without, and NumPy's numbers."""
    weights, gradients = weights_and_gradients()
    whole = model_of(weights, l2=0.3)
    run(whole, gradients)
    half = model_of(weights, l2=0.3)
    run(half, gradients[:stop])
    half.save(tmp_path / "half.keras")
    resumed = keras.saving.load_model(tmp_path / "half.keras")
    run(resumed, gradients[stop:], stop)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(resumed.get_weights(), expected(weights, gradients, decay=0.3), weights)


def test_mixed_bfloat16_updates_in_float32():
    """Layers compute in bfloat16; weights, momenta and updates keep all bits of float32."""
    weights, gradients = weights_and_gradients()
    model = model_of(weights, "mixed_bfloat16", l2=0.3)
    assert model.layers[0].compute_dtype == "bfloat16"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    run(model, gradients)
    assert_equal(model.get_weights(), expected(weights, gradients, decay=0.3), weights)


def test_updates_smaller_than_bfloat16_can_hold_are_not_lost():
    """A thousandth of a step of bfloat16, ten times: float32 weights add it up."""
    model = model_of([np.ones(s, np.float32) for s in SHAPES], "mixed_bfloat16", l2=0.0)
    run(model, [[np.full(s, 1e-4, np.float32) for s in SHAPES]] * 10)
    assert all((w < 1).all() and (w > 0.9999).all() for w in model.get_weights())
    x, y = np.ones((2, 5), np.float32), np.zeros((2, 3), np.float32)
    before = model.get_weights()
    model.optimizer.learning_rate.assign(1e-6)
    model.train_on_batch(x, y)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
