"""What the log tells of a training, against gradients and counts of a model in plain TensorFlow."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.models.losses import ForegroundShare
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.monitoring.gradients import TrainingStatistics
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.fit import train
from keras_frcnn.training.optimizer import SGD
from tests.images import random_proposals
from tests.tiny import tiny_settings

pytestmark = pytest.mark.usefixtures("trunk")


def test_foreground_share_by_hand():
    share = ForegroundShare()
    assert float(share.result()) == 0.0
    share.update_state(np.array([[0, 0, 2, -1], [1, 0, 0, 0]]), None)
    assert float(share.result()) == pytest.approx(2 / 7)
    share.update_state(np.array([[3, -1, -1, -1]]), None)
    assert float(share.result()) == pytest.approx(3 / 8)
    share.reset_state()
    assert float(share.result()) == 0.0


def log_cross_entropy(labels, logits):
    rows = np.arange(len(labels))
    logits = logits - tf.reduce_max(logits, axis=1, keepdims=True)
    log_p = logits - tf.math.log(tf.reduce_sum(tf.exp(logits), axis=1, keepdims=True))
    return -tf.gather_nd(log_p, np.stack([rows, labels], axis=1))


def losses_by_hand(model, batch, std):
    """The multi-task loss of a batch, from the formula."""
    inputs, targets = batch
    outputs = model(inputs, training=True)
    labels = targets["cls_score"].numpy().ravel()
    real = labels >= 0
    logits = tf.reshape(outputs["cls_score"], (len(labels), -1))
    loss = tf.reduce_sum(log_cross_entropy(labels[real], logits[real]))
    deltas = tf.reshape(outputs["bbox_pred"], (len(labels), -1, 4))
    for i, target in enumerate(targets["bbox_pred"].numpy().reshape(len(labels), 5)):
        if target[0] >= 1:
            k = int(target[0]) - 1
            error = tf.abs((deltas[i, k] - target[1:]) / std[k])
            loss += tf.reduce_sum(tf.where(error < 1, error**2 / 2, error - 0.5))
    return loss / real.sum()


def test_norms_and_shares_of_a_run(dataset, tmp_path):
    """Train two steps alike, then differentiate the loss of the third by a tape."""
    proposals = random_proposals(dataset)
    train(tmp_path / "run", ImageSet(dataset, proposals), tiny_settings())
    with (tmp_path / "run" / "log.csv").open() as file:
        (row,) = csv.DictReader(file)

    other = train(tmp_path / "two", ImageSet(dataset, proposals), tiny_settings(steps=2))
    batches = list(
        training_dataset(
            ImageSet(dataset, proposals), TRUNKS["tiny"].pixel_means, tiny_settings()
        ).take(3)
    )
    std = np.sqrt(other.get_layer("bbox_pred").variance).reshape(2, 4)
    with tf.GradientTape() as tape:
        loss = losses_by_hand(other, batches[2], std)
    gradients = tape.gradient(loss, other.trainable_weights)
    squares = {"all": 0.0, "trunk": 0.0, "fc": 0.0, "heads": 0.0}
    for weight, gradient in zip(other.trainable_weights, gradients, strict=True):
        layer = weight.path.split("/")[0]
        part = {"fc": "fc", "cl": "heads", "bb": "heads"}.get(layer[:2], "trunk")
        square = np.square(gradient.numpy().astype(np.float64)).sum()
        squares[part] += square
        squares["all"] += square
    for part, square in squares.items():
        assert float(row[f"gradient_norm/{part}"]) == pytest.approx(np.sqrt(square), rel=2e-3), part

    labels = np.concatenate([targets["cls_score"].numpy().ravel() for _, targets in batches])
    share = np.sum(labels > 0) / np.sum(labels >= 0)
    assert float(row["foreground_share"]) == pytest.approx(share)
    assert float(row["proposal_recall"]) == 1.0  # boxes all around every object


def test_only_the_last_mini_batch_of_an_epoch_is_measured():
    """The gradient of w is the input itself, so each norm tells which batch it is of."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(SGD(1e-9), lambda y_true, y_pred: y_pred)
    statistics = TrainingStatistics(steps=8, proposal_recall=0.75)
    seen = []

    class Rows(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append({})

        def on_epoch_end(self, epoch, logs=None):
            logs["cls_score_foreground_share"] = 0.25
            statistics.on_epoch_end(epoch, logs)
            seen[-1].update(logs)

    class Measured(keras.callbacks.Callback):
        on_train_batch_begin = statistics.on_train_batch_begin

    statistics.set_model(model)
    statistics.set_params({"steps": 5})
    x = np.arange(1.0, 11.0, dtype=np.float32)[:, None]
    steps = tf.data.Dataset.from_tensor_slices((x, x)).batch(1)
    for epoch, batches in enumerate((steps.take(5), steps.skip(5).take(3))):
        model.fit(
            batches,
            shuffle=False,
            callbacks=[Measured(), Rows()],
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
        )
    assert [row["gradient_norm/all"] for row in seen] == pytest.approx([5.0, 8.0])
    assert [row["gradient_norm/trunk"] for row in seen] == pytest.approx([5.0, 8.0])
    assert seen[0]["proposal_recall"] == 0.75 and seen[0]["foreground_share"] == 0.25


def test_measuring_changes_no_weight():
    gradients = [np.array([3.0, 4.0], np.float32)]
    weights = []
    for on in (False, True):
        variable = keras.Variable(np.array([1.0, 2.0], np.float32), name="kernel")
        optimizer = SGD(0.1)
        optimizer.build([variable])
        optimizer.measure_gradients(on)
        for _ in range(3):
            optimizer.apply([tf.constant(g) for g in gradients], [variable])
        weights.append(variable.numpy())
        assert list(optimizer.gradient_norms().values()) == ([5.0] if on else [0.0])
    np.testing.assert_array_equal(*weights)


def test_measurement_is_no_part_of_the_saved_state(dataset):
    """A checkpoint holds step, rate and a momentum for each trained weight, nothing else."""
    model = build_and_compile(ImageSet(dataset, random_proposals(dataset)), tiny_settings())
    model.optimizer.build(model.trainable_variables)
    assert len(model.optimizer.variables) == 2 + len(model.trainable_variables)
