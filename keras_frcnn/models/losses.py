"""The multi-task loss of Fast R-CNN (paper section 2.3), one Keras loss for each head.

    L(p, u, t, v) = -log p_u + lambda [u >= 1] smooth_L1((t^u - v) / sigma_u)

averaged over all sampled RoIs of the mini-batch. N images, R RoIs each, K object classes;
RoIs labelled -1 are padding and count nowhere. sigma_u is the standard deviation of the
regression targets of class u: the paper normalises the targets, here the model's outputs are in
plain units (its last layer inverts the normalisation) and the loss divides by sigma instead,
which is the same number.

On several devices (`tf.distribute`) each replica holds some of the images. Keras adds up the
replicas' gradients, so a replica returns its own sum divided by the RoIs of the whole mini-batch:
the mean over the replicas' means would weigh an image with few RoIs too much.

In joint training of Faster R-CNN the model itself draws the RoIs, so that only it knows their
labels and targets. They come in the first columns of the predictions
(`joint_sampling.CarryTargets`), which `Carried` and `CarriedForegroundShare` take apart.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.models.counting import count_of_mini_batch


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ClassificationLoss(keras.losses.Loss):
    """Log loss of the true class: labels [N, R] (-1: padding), logits [N, R, K + 1]."""

    def call(self, y_true, y_pred):
        """Return the mean over the real RoIs, a scalar (this replica's part of it)."""
        labels = tf.cast(y_true, tf.int32)
        is_real = labels >= 0
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), y_pred)
        total = tf.reduce_sum(tf.where(is_real, losses, 0.0))
        return total / tf.cast(count_of_mini_batch(is_real), total.dtype)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class BoxRegressionLoss(keras.losses.Loss):
    """Smooth L1 of the true class's box: targets [N, R, 5], deltas [N, R, K, 4].

    Args:
        std: standard deviation of the targets of each class, [K, 4].
        weight: lambda of the paper.

    A row of the targets is (label, tx, ty, tw, th): the label chooses the class's output.
    """

    def __init__(self, std, weight: float = 1.0, name: str = "box_regression_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.std = np.asarray(std, np.float32)
        self.weight = weight

    def call(self, y_true, y_pred):
        """Return the sum over foreground RoIs divided by the number of real RoIs, a scalar.

        On several devices, this replica's part of it.
        """
        labels = tf.cast(y_true[..., 0], tf.int32)
        index = tf.maximum(labels - 1, 0)
        deltas = tf.gather(y_pred, index, batch_dims=2)
        std = tf.gather(tf.constant(self.std, deltas.dtype), index)
        error = tf.abs(deltas - y_true[..., 1:]) / std
        losses = tf.reduce_sum(tf.where(error < 1.0, 0.5 * error**2, error - 0.5), axis=-1)
        total = self.weight * tf.reduce_sum(tf.where(labels >= 1, losses, 0.0))
        return total / tf.cast(count_of_mini_batch(labels >= 0), total.dtype)

    def get_config(self):
        """Return what recreates the loss."""
        return {**super().get_config(), "std": self.std.tolist(), "weight": self.weight}


def rpn_box_loss(weight: float = 1.0) -> BoxRegressionLoss:
    """The box regression of a region proposal network (Ren et al. 2015, section 3.1.2).

    In the authors' code a smooth L1 that is quadratic up to 1 / 9, of the plain targets, h_3. That
    is h_1 of nine times the error, divided by nine, so the same loss with other numbers. The mean
    is over all sampled anchors, as there; the paper's lambda of 10 over the positions of the map is
    a weight of about 1.07.
    """
    return BoxRegressionLoss([[1 / 9] * 4], weight / 9, name="rpn_box_regression_loss")


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ForegroundShare(keras.metrics.Metric):
    """The share of the sampled RoIs that are foreground, as a rule 25% (paper section 2.3).

    Labels [N, R] are 1..K for foreground, 0 for background and -1 for padding, which does not
    count; the predictions do not matter. Much less than 25% means that the proposals seldom
    reach the objects, more that an image has too little background to fill its RoIs.
    """

    def __init__(self, name: str = "foreground_share", **kwargs):
        super().__init__(name=name, **kwargs)
        self.foreground = self.add_variable((), "zeros", name="foreground")
        self.real = self.add_variable((), "zeros", name="real")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the RoIs of a batch."""
        labels = tf.cast(y_true, tf.int32)
        self.foreground.assign_add(tf.reduce_sum(tf.cast(labels > 0, tf.float32)))
        self.real.assign_add(tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))

    def result(self):
        """Return the share so far, 0 before the first RoI."""
        return tf.math.divide_no_nan(
            tf.convert_to_tensor(self.foreground), tf.convert_to_tensor(self.real)
        )


@keras.saving.register_keras_serializable(package="keras_frcnn")
class Carried(keras.losses.Loss):
    """Another loss, of the truth in the first columns of the predictions and of the rest.

    Args:
        loss: `ClassificationLoss` for predictions [N, R, 1 + K + 1], rows (label, logits), or
            `BoxRegressionLoss` for [N, R, 5 + 4 K], rows (label, target, deltas).
        columns: of the truth, 1 or 5.

    What Keras passes as the truth does not matter.
    """

    def __init__(self, loss: keras.losses.Loss, columns: int, name: str = "carried", **kwargs):
        super().__init__(name=name, **kwargs)
        self.loss, self.columns = loss, columns

    def call(self, y_true, y_pred):
        """Return what the other loss does, a scalar."""
        truth = tf.stop_gradient(y_pred[..., : self.columns])
        if self.columns == 1:
            return self.loss.call(truth[..., 0], y_pred[..., 1:])
        shape = tf.shape(y_pred)
        classes = (y_pred.shape[-1] - self.columns) // 4
        deltas = tf.reshape(y_pred[..., self.columns :], [shape[0], shape[1], classes, 4])
        return self.loss.call(truth, deltas)

    def get_config(self):
        """Return what recreates the loss."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss, "columns": self.columns}

    @classmethod
    def from_config(cls, config):
        """Recreate the loss and the one in it."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarriedForegroundShare(ForegroundShare):
    """`ForegroundShare` of predictions [N, R, 1 + K + 1], rows (label, logits)."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the RoIs of a batch."""
        super().update_state(y_pred[..., 0], None)
