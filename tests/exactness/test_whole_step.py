"""Image, trunk, RoI pooling, heads, both losses and solver together, on a small trunk.

The gradient is compared with central differences in float64 and with the chain rule in NumPy;
ten steps of `fit` with ten of a NumPy network.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.callbacks import StepDecay
from keras_frcnn.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.model import fast_rcnn
from keras_frcnn.optimizer import SGD
from keras_frcnn.trunks import Trunk
from tests.exactness import formulas, numpy_fast_rcnn

CLASSES = 3
LAMBDA = 0.7
RATE, MOMENTUM, DECAY = 0.01, 0.9, 0.05
RNG = np.random.default_rng(0)
MEAN = RNG.normal(0, 0.1, (CLASSES, 4)).astype(np.float32)
STD = RNG.integers(2, 9, (CLASSES, 4)) / np.float32(32)  # whose squares are exact as well


def tiny_trunk(x):
    for (name, stride), filters in zip(numpy_fast_rcnn.STRIDES.items(), (4, 5, 6), strict=True):
        x = keras.layers.Conv2D(
            filters, 3, stride, "same", activation="relu", kernel_initializer="he_normal", name=name
        )(x)
    return x


def tiny_model(dropout=0.0, fc_units=(7, 6)):
    """A compiled detector, of 900 weights unless `fc_units` says more; biases are not zero."""
    keras.utils.set_random_seed(3)
    trunk = Trunk(tiny_trunk, numpy_fast_rcnn.TRUNK_STRIDE, pool_size=(numpy_fast_rcnn.POOL,) * 2)
    model = fast_rcnn(
        CLASSES, trunk, fc_units=fc_units, bbox_mean=MEAN, bbox_std=STD, dropout=dropout
    )
    rng = np.random.default_rng(1)
    for name in numpy_fast_rcnn.LAYERS:
        layer = model.get_layer(name)
        layer.bias.assign(rng.normal(0.1, 0.1, layer.bias.shape))
        if name in ("cls_score", "bbox_deltas"):  # 0.01 and 0.001 would hide their gradients
            layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    model.compile(
        SGD(RATE, MOMENTUM, DECAY),
        {"cls_score": ClassificationLoss(), "bbox_pred": BoxRegressionLoss(STD, LAMBDA)},
        jit_compile=False,
    )
    return model


def batch(seed):
    """Two images with six RoIs each: foreground, background and padding (label -1)."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 58, (2, 22, 32, 3))
    corner = rng.uniform(-2, 14, (2, 6, 2))
    rois = np.concatenate([corner, corner + rng.uniform(4, 16, (2, 6, 2))], axis=-1)
    labels = np.array([[1, 3, 2, 0, 0, 0], [2, 0, 0, 1, -1, -1]])
    rois[labels < 0] = 0
    # Normalised errors on both sides of 1, where smooth L1 changes from square to line.
    targets = rng.normal(0, 0.3, (2, 6, 4)) * (labels > 0)[..., None]
    return images, rois.astype(np.float32), labels, targets


def as_keras(images, rois, labels, targets):
    rows = np.concatenate([labels[..., None], targets], axis=-1)
    return {"images": images, "rois": rois}, {"cls_score": labels, "bbox_pred": rows}


def weights_of(model):
    return {
        name: tuple(w.astype(np.float64) for w in model.get_layer(name).get_weights())
        for name in numpy_fast_rcnn.LAYERS
    }


def numpy_loss(weights, data):
    mean, std = (a.astype(np.float64) for a in (MEAN, STD))
    return numpy_fast_rcnn.loss_and_gradients(weights, *data, mean, std, LAMBDA)


@pytest.fixture
def float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


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
