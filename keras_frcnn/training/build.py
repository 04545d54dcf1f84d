"""The model of a training, ready for `fit`."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_frcnn.batches.target_statistics import cached_target_statistics
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.faster_rcnn import FasterRCNN, RegionProposalNetwork
from keras_frcnn.models.mask_rcnn import MaskFastRCNN, MaskRCNN
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.runs.directory import options_of
from keras_frcnn.settings import Settings
from keras_frcnn.training.fine_tuning import TrainedDetector
from keras_frcnn.training.optimizer import SGD


def build_and_compile(images: ImageSet, settings: Settings) -> keras.Model:
    """The model of `settings` with its losses and the optimizer, ready for `fit`."""
    source = TrainedDetector(settings.initial, settings) if settings.initial else None
    finetune_from = settings.finetune_from
    if source:  # frozen by default as where weights are loaded
        finetune_from = finetune_from or TRUNKS[settings.trunk].finetune_from
    with in_precision(settings.precision):
        model = build(
            settings,
            None if settings.makes_proposals else cached_target_statistics(images),
            finetune_from,
            source.rescale if source else None,
        )
    if source:
        source.copy_to(model)
    optimizer = SGD(settings.rate, settings.momentum, settings.l2, bias_decay=settings.bias_decay)
    model.compile(
        optimizer,
        box_loss_weight=settings.box_loss_weight,
        rpn_box_loss_weight=settings.rpn_box_loss_weight,
    )
    return model


def build(
    settings: Settings, targets: tuple | None, finetune_from: str | None, rescale: bool | None
) -> DetectionModel:
    """The network of `settings`, in the present dtype policy.

    Args:
        settings: of these, all that the builders take but what is given here.
        targets, finetune_from, rescale: as the builders take them.
    """
    about = {
        "class_names": settings.class_names,
        "trunk": settings.trunk,
        "weights": settings.weights,
        "finetune_from": finetune_from,
        "min_side": settings.min_side,
        "max_side": settings.max_side,
        "rescale": rescale,
    }
    if settings.detector == "rpn":
        return RegionProposalNetwork(**about, options=options_of(settings))
    about |= {
        "targets": targets,
        "fc_units": settings.fc_units,
        "dropout": settings.dropout,
        "region_op": settings.region_op,
    }
    if not settings.makes_proposals:
        return (MaskFastRCNN if settings.has_masks else FastRCNN)(**about)
    return (MaskRCNN if settings.has_masks else FasterRCNN)(
        **about,
        options=options_of(settings),
        rois_per_image=settings.rois_per_image,
        bg_iou_low=settings.bg_iou_low,
    )


@contextmanager
def in_precision(precision: str) -> Iterator[None]:
    """Within it layers are made for a precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it the random weights of a model are a function of the seed.

    Keras draws the seeds of its initializers from Python's `random`; nothing else of a training is
    drawn from the state of the process, which is given back as it was.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
