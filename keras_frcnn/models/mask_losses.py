"""The mask loss of Mask R-CNN (He et al. 2017, section 3) and what is watched beside it.

N images, D regions each, M x M cells of a mask. A target is 1 inside the object, 0 outside and 255
in rows that do not count: background and padding. The logits are those of the region's true class,
so that classes do not compete.

In joint training the model cuts the targets itself; they come beside the logits
(`mask_targets.CarryMaskTargets`), [N, D, M, M, 2], which the `Carried` versions take apart.
"""

import keras
import tensorflow as tf

from keras_frcnn.models.counting import count_of_mini_batch

IGNORED = 255


@keras.saving.register_keras_serializable(package="keras_frcnn")
class MaskLoss(keras.losses.Loss):
    """Binary cross entropy: targets [N, D, M, M], logits [N, D, M, M]."""

    def call(self, y_true, y_pred):
        """Return the mean over the cells of all regions that count, a scalar.

        0 where none does. On several devices, this replica's part of it.
        """
        counts = tf.cast(y_true, tf.int32) != IGNORED
        targets = tf.where(counts, tf.cast(y_true, y_pred.dtype), 0.0)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, y_pred)
        total = tf.reduce_sum(tf.where(counts, losses, 0.0))
        return total / tf.cast(count_of_mini_batch(counts), total.dtype)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarriedMaskLoss(MaskLoss):
    """`MaskLoss` of predictions [N, D, M, M, 2], (target, logit)."""

    def call(self, y_true, y_pred):
        """Return the mean over the cells of all regions that count, a scalar."""
        return super().call(tf.stop_gradient(y_pred[..., 0]), y_pred[..., 1])


class _ShareOfCells(keras.metrics.Metric):
    """The share of some cells of which something holds, 0 before the first of them."""

    def __init__(self, name: str, **kwargs):
        super().__init__(name=name, **kwargs)
        self.held = self.add_variable((), "zeros", name="held")
        self.cells = self.add_variable((), "zeros", name="cells")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the cells of a batch; a logit above 0 says that a cell is inside."""
        target = tf.cast(y_true, tf.int32)
        counts, held = self._counted(target, y_pred > 0)
        self.held.assign_add(tf.reduce_sum(tf.cast(counts & held, tf.float32)))
        self.cells.assign_add(tf.reduce_sum(tf.cast(counts, tf.float32)))

    def result(self):
        """Return the share so far."""
        return tf.math.divide_no_nan(
            tf.convert_to_tensor(self.held), tf.convert_to_tensor(self.cells)
        )


@keras.saving.register_keras_serializable(package="keras_frcnn")
class MaskAccuracy(_ShareOfCells):
    """The share of cells that are on the right side of 0.5."""

    def __init__(self, name: str = "mask_accuracy", **kwargs):
        super().__init__(name, **kwargs)

    def _counted(self, target, is_inside):
        return target != IGNORED, is_inside == (target == 1)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class MaskFalsePositives(_ShareOfCells):
    """The share of the cells outside that are taken for inside."""

    def __init__(self, name: str = "mask_false_positives", **kwargs):
        super().__init__(name, **kwargs)

    def _counted(self, target, is_inside):
        return target == 0, is_inside


@keras.saving.register_keras_serializable(package="keras_frcnn")
class MaskFalseNegatives(_ShareOfCells):
    """The share of the cells inside that are taken for outside."""

    def __init__(self, name: str = "mask_false_negatives", **kwargs):
        super().__init__(name, **kwargs)

    def _counted(self, target, is_inside):
        return target == 1, ~is_inside


class _Carried:
    """A metric of predictions [N, D, M, M, 2], (target, logit)."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count the cells of a batch."""
        super().update_state(y_pred[..., 0], y_pred[..., 1])


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarriedMaskAccuracy(_Carried, MaskAccuracy):
    """`MaskAccuracy` where the model cuts the targets."""


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarriedMaskFalsePositives(_Carried, MaskFalsePositives):
    """`MaskFalsePositives` where the model cuts the targets."""


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarriedMaskFalseNegatives(_Carried, MaskFalseNegatives):
    """`MaskFalseNegatives` where the model cuts the targets."""


def mask_loss(is_carried: bool) -> tuple[keras.losses.Loss, list[keras.metrics.Metric]]:
    """The loss of the masks and the metrics beside it."""
    if is_carried:
        metrics = [CarriedMaskAccuracy, CarriedMaskFalsePositives, CarriedMaskFalseNegatives]
        return CarriedMaskLoss(name="mask_loss"), [metric() for metric in metrics]
    metrics = [MaskAccuracy, MaskFalsePositives, MaskFalseNegatives]
    return MaskLoss(name="mask_loss"), [metric() for metric in metrics]
