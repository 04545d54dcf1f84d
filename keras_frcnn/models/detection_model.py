"""A detector's network that knows what a user of it must know.

K is the number of object classes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import has_masks, makes_proposals
from keras_frcnn.models.rpn import ProposalOptions


@keras.saving.register_keras_serializable(package="keras_frcnn")
class DetectionModel(keras.Model):
    """A functional Keras model with the names of its classes and the pixels that it expects.

    All of it is kept in the `.keras` file, so that `Detector(model)` and
    `training_batches(photos, regions, model)` need no more than the model. `compile` sets the
    losses of the paper.

    Args:
        *args, **kwargs: inputs, outputs and name, as `keras.Model` takes them.
        class_names: of classes 1..K.
        trunk: the name of its trunk; None for one of the user's own.
        pixel_means: (B, G, R), subtracted from the pixels of an image.
        min_side, max_side: to which images are scaled, see `preprocessing.scaled_size`; several
            values of `min_side` are drawn from at random in training.
        target_mean, target_std: of the regression targets, [K, 4], by which the last layer
            inverts their normalisation.
        detector: of `heads.DETECTORS`.
        options: the anchors and how proposals are made, where it makes them.

    Keras's `clone_model` makes one that knows nothing; `copy_description` tells it.
    """

    # `*args` and `**kwargs`: what tells Keras that the class is a functional model.
    def __init__(
        self,
        *args,
        class_names: Sequence[str] = (),
        trunk: str | None = None,
        pixel_means: Sequence[float] | None = None,
        min_side: Sequence[int] | None = None,
        max_side: int | None = None,
        target_mean=None,
        target_std=None,
        detector: str = "fast_rcnn",
        options: ProposalOptions | Mapping | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if isinstance(self.output, dict):  # the columns of the log are called as the outputs
            self.output_names = sorted(self.output)
        self.class_names = tuple(class_names)
        self.trunk = trunk
        self.pixel_means = None if pixel_means is None else tuple(map(float, pixel_means))
        self.min_side = None if min_side is None else tuple(min_side)
        self.max_side = max_side
        self.target_mean = None if target_mean is None else np.asarray(target_mean, np.float32)
        self.target_std = None if target_std is None else np.asarray(target_std, np.float32)
        self.detector = detector
        if isinstance(options, Mapping):  # from a file
            options = ProposalOptions(
                **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
            )
        self.options = options

    def compile(
        self,
        optimizer,
        loss=None,
        loss_weights=None,
        metrics=None,
        *,
        box_loss_weight: float = 1.0,
        rpn_box_loss_weight: float = 1.0,
        jit_compile: bool = False,
        **kwargs,
    ) -> None:
        """Configure training, as `keras.Model.compile` does.

        Args:
            optimizer: `SGD` of this package, or any of Keras.
            loss: by default the multi-task loss of the paper (`keras_frcnn.models.losses`), with
                the share of foreground RoIs as a metric unless `metrics` are given.
            box_loss_weight: lambda of the paper, the weight of the box regression in that loss.
            rpn_box_loss_weight: the same in the loss of a region proposal network.
            jit_compile: off, since XLA is slower than TensorFlow's own kernels on the CPU and
                RoI pooling has no XLA version.
            loss_weights, metrics, **kwargs: as in Keras.

        Raises:
            InputError: `box_loss_weight` is given beside another loss, which has no place for it,
                or the model does not know the deviations of its targets.
        """
        if loss is None:
            loss, own_metrics = self._multi_task_loss(box_loss_weight, rpn_box_loss_weight)
            metrics = own_metrics if metrics is None else metrics
        elif (box_loss_weight, rpn_box_loss_weight) != (1.0, 1.0):
            raise InputError("box_loss_weight: is of the model's own loss; give it, or a loss")
        super().compile(
            optimizer,
            loss,
            loss_weights=loss_weights,
            metrics=metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def _multi_task_loss(self, box_loss_weight: float, rpn_box_loss_weight: float):
        """The losses and metrics of the outputs, by name."""
        # Not above: whoever imports the losses first has them import Keras, and that this module
        # (`keras_frcnn.registration`).
        from keras_frcnn.models.losses import (
            BoxRegressionLoss,
            Carried,
            CarriedForegroundShare,
            ClassificationLoss,
            ForegroundShare,
            rpn_box_loss,
        )
        from keras_frcnn.models.mask_losses import mask_loss

        loss, metrics = {}, {}
        if makes_proposals(self.detector):
            loss["rpn_cls_score"] = ClassificationLoss()
            loss["rpn_bbox_pred"] = rpn_box_loss(rpn_box_loss_weight)
            metrics["rpn_cls_score"] = [ForegroundShare()]
        if self.detector == "rpn":
            return loss, metrics
        if self.target_std is None:
            raise InputError("compile: the model does not know its target_std; give a loss")
        classes, boxes = ClassificationLoss(), BoxRegressionLoss(self.target_std, box_loss_weight)
        is_carried = makes_proposals(self.detector)
        loss["cls_score"] = Carried(classes, 1) if is_carried else classes
        loss["bbox_pred"] = Carried(boxes, 5) if is_carried else boxes
        metrics["cls_score"] = [CarriedForegroundShare() if is_carried else ForegroundShare()]
        if has_masks(self.detector):
            loss["mask_logits"], metrics["mask_logits"] = mask_loss(is_carried)
        return loss, metrics

    def compile_from_config(self, config: dict) -> None:
        """Compile as the model in a `.keras` file was; Keras leaves it to a class with its own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict:
        """What recreates the model, without its weights."""
        return {**super().get_config(), **{f: _plain(getattr(self, f)) for f in _FIELDS}}


_FIELDS = (
    "class_names",
    "trunk",
    "pixel_means",
    "min_side",
    "max_side",
    "target_mean",
    "target_std",
    "detector",
    "options",
)


def copy_description(source: keras.Model, copy: keras.Model) -> None:
    """Let a clone know what `source` knows, if that is a `DetectionModel`."""
    if isinstance(source, DetectionModel):
        for field in _FIELDS:
            setattr(copy, field, getattr(source, field))


def _plain(value):
    """Arrays and tuples as lists, which JSON gives back as they were, and options as a dict."""
    if isinstance(value, ProposalOptions):
        return {name: _plain(v) for name, v in dataclasses.asdict(value).items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
