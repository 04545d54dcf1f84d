"""Loss and metric of predictions that bring their truth along (`joint_sampling.CarryTargets`).

Keras gives a loss what the input pipeline says is true. In joint training the model itself draws
the RoIs, so that only it knows their labels and targets.

Shape letters: N images, R RoIs an image, K object classes.
"""

import keras
import tensorflow as tf

from keras_frcnn.models.losses import ForegroundShare


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
