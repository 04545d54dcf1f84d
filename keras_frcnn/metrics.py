"""What is counted of a training beside its losses."""

import keras
import tensorflow as tf


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
