"""Image, trunk, RoI pooling, heads, both losses and solver together, on a small trunk.

The gradient is compared with central differences in float64 and with the chain rule in NumPy;
ten steps of `fit` with ten of a NumPy network.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.training.callbacks import StepDecay
from tests.exactness import formulas, numpy_fast_rcnn
from tests.exactness.tiny import (
    DECAY,
    LAMBDA,
    MEAN,
    MOMENTUM,
    RATE,
    STD,
    as_keras,
    batch,
    tiny_model,
)


def weights_of(model):
    return {
        name: tuple(w.astype(np.float64) for w in model.get_layer(name).get_weights())
        for name in numpy_fast_rcnn.LAYERS
    }


def numpy_loss(weights, data):
    mean, std = (a.astype(np.float64) for a in (MEAN, STD))
    return numpy_fast_rcnn.loss_and_gradients(weights, *data, mean, std, LAMBDA)


def test_gradient_equals_finite_differences(float64):
    """Of every single weight, through one step of `train_on_batch` with decay and bias rate."""
    model = tiny_model()
    x, y = as_keras(*batch(5))
    variables = [v for n in numpy_fast_rcnn.LAYERS for v in model.get_layer(n).trainable_variables]
    assert {v.dtype for v in variables} == {"float64"}
    objectives = ClassificationLoss(), BoxRegressionLoss(STD, LAMBDA)

    @tf.function
    def objective():
        outputs = model(x)
        return sum(
            loss(y[k], outputs[k])
            for loss, k in zip(objectives, ("cls_score", "bbox_pred"), strict=True)
        )

    h = 1e-5
    differences = []
    for variable in variables:
        value = variable.numpy()
        for i in np.ndindex(value.shape):
            found = []
            for sign in (1, -1):
                moved = value.copy()
                moved[i] += sign * h
                variable.assign(moved)
                found.append(float(objective()))
            differences.append((found[0] - found[1]) / (2 * h) + DECAY * value[i])
        variable.assign(value)

    before = [v.numpy() for v in variables]
    reported = model.train_on_batch(x, y, return_dict=True)
    np.testing.assert_allclose(reported["loss"], float64_loss(before, variables, batch(5)))
    rates = [RATE * (2 if v.path.endswith("bias") else 1) for v in variables]
    steps = np.concatenate(
        [
            ((b - v.numpy()) / rate).ravel()
            for b, v, rate in zip(before, variables, rates, strict=True)
        ]
    )
    assert np.abs(steps).max() > 0.1
    np.testing.assert_allclose(steps, differences, rtol=1e-6, atol=1e-8)


def float64_loss(values, variables, data):
    """The loss by the NumPy network, of the weights `values`."""
    pairs = zip(values[::2], values[1::2], strict=True)
    assert [v.path.split("/")[0] for v in variables[::2]] == list(numpy_fast_rcnn.LAYERS)
    return numpy_loss(dict(zip(numpy_fast_rcnn.LAYERS, pairs, strict=True)), data)[0]


def test_ten_steps_of_fit_equal_numpy(float64):
    """Forward, loss, chain rule, decay, momentum, bias rate, warmup and step decay in NumPy."""
    model = tiny_model()
    names = numpy_fast_rcnn.LAYERS
    start = [w for name in names for w in weights_of(model)[name]]
    solver = formulas.Solver(start, [False, True] * len(names), MOMENTUM, DECAY)
    data = [batch(seed) for seed in range(10)]
    losses = []
    for step, one in enumerate(data):
        weights = dict(
            zip(names, zip(solver.weights[::2], solver.weights[1::2], strict=True), strict=True)
        )
        loss, gradients = numpy_loss(weights, one)
        losses.append(loss)
        rate = formulas.rate_at(step, RATE, drops=(6, 8), warmup=3)
        solver.step([g for name in names for g in gradients[name]], rate)

    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: seen.append(logs["loss"])
    )
    model.fit(
        (as_keras(*one) for one in data),
        shuffle=False,
        steps_per_epoch=10,
        callbacks=[StepDecay(RATE, (6, 8), warmup=3), record],
        verbose=0,
    )
    # Keras reports running means of the losses.
    np.testing.assert_allclose(seen, np.cumsum(losses) / np.arange(1, 11), rtol=1e-7)
    found = [w for name in names for w in weights_of(model)[name]]
    for name, a, b, before in zip(np.repeat(names, 2), found, solver.weights, start, strict=True):
        assert np.abs(b - before).max() > 1e-3, name  # it has moved far more than the tolerance
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=name)
