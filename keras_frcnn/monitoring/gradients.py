"""What the log of a training run tells beside losses and rate."""

import math

import keras

from keras_frcnn.models.heads import part_of


class TrainingStatistics(keras.callbacks.Callback):
    """Put into the log of every epoch, for the callbacks after this one in the list:

    * `gradient_norm/all`, `/trunk`, `/rpn`, `/fc`, `/heads` and `/mask`: Euclidean norms of the
      gradient of the loss (without weight decay) in the last mini-batch of the epoch, over all
      trained weights and over those of each part that has some;
    * `foreground_share`: of the sampled RoIs, and `rpn_foreground_share`: of the sampled anchors,
      where there are such;
    * `mask_accuracy`, `mask_false_positives` and `mask_false_negatives`: shares of the cells of the
      foreground's masks (`mask_losses`), where masks are learnt;
    * `proposal_recall`: the share of the objects that the proposals reach, if it is known.

    Args:
        steps: mini-batches of the whole run.
        proposal_recall: of the training set, where its proposals stay the same.
    """

    def __init__(self, steps: int, proposal_recall: float | None):
        super().__init__()
        self.steps = steps
        self.proposal_recall = proposal_recall

    def on_train_batch_begin(self, batch, logs=None):
        """Have the gradients of the last mini-batch of an epoch measured."""
        is_last = batch + 1 == self.params["steps"]
        is_last |= int(self.model.optimizer.iterations.numpy()) + 1 == self.steps
        self.model.optimizer.measure_gradients(is_last)

    def on_epoch_end(self, epoch, logs=None):
        """Add to the log."""
        squares = {"all": 0.0}
        for path, norm in self.model.optimizer.gradient_norms().items():
            part = part_of(path.split("/")[0])
            squares[part] = squares.get(part, 0.0) + norm**2
            squares["all"] += norm**2
        for part, square in squares.items():
            logs[f"gradient_norm/{part}"] = math.sqrt(square)
        for column in [name for name in logs if name.endswith("cls_score_foreground_share")]:
            logs[column.replace("cls_score_", "")] = logs.pop(column)
        for column in [name for name in logs if name.startswith("mask_logits_mask_")]:
            logs[column.removeprefix("mask_logits_")] = logs.pop(column)
        if self.proposal_recall is not None:
            logs["proposal_recall"] = self.proposal_recall
