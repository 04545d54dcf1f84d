"""What the builders of all detectors share: checks, the network's input, and what is frozen."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import layers

from keras_frcnn.errors import InputError
from keras_frcnn.models import (
    convolution,  # noqa: F401 (registers layers that files name)
    heads,
)
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.fpn import PadToMultiple, pyramid
from keras_frcnn.models.layers import NormalizedRGB, RoIPool
from keras_frcnn.models.roi_align import BinMax, RoIAlign
from keras_frcnn.models.trunks import TRUNKS, Trunk, is_one_of
from keras_frcnn.models.weights import load_pretrained

PIXEL_STD = 58.0  # grey levels, over the photographs of ImageNet


class Graph(NamedTuple):
    """The tensors of a detector before they are a model, so that a branch can be added."""

    trunk: Trunk
    features: keras.KerasTensor | list  # [N, H', W', C], or those of a pyramid's levels
    inputs: dict[str, keras.KerasTensor]
    outputs: dict[str, keras.KerasTensor]
    about: dict  # what the `DetectionModel` shall know

    def model(self, trunk: str | Trunk, detector: str) -> DetectionModel:
        """The model of this graph, for one of `heads.DETECTORS`, as the user named the trunk."""
        return DetectionModel(
            self.inputs,
            self.outputs,
            name=model_name(trunk, detector),
            detector=detector,
            **self.about,
        )


def model_name(trunk: str | Trunk, detector: str = "fast_rcnn") -> str:
    """The name of the Keras model of a detector with this trunk."""
    return f"{detector}_{trunk}" if isinstance(trunk, str) else detector


def checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes as a tuple; `InputError` if there are none or some are the same."""
    if isinstance(class_names, str):
        raise InputError(f"class_names: must be a list of names, such as [{class_names!r}]")
    names = tuple(class_names)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise InputError(f"class_names: must be different names and at least one, not {names}")
    return names


def checked_trunk(trunk: str | Trunk) -> Trunk:
    """The trunk of a name; also refuses Keras with channels first, which no trunk is made for."""
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            "Keras is set to images with channels first, and these models have channels last: call "
            "keras.config.set_image_data_format('channels_last')"
        )
    if isinstance(trunk, str) and trunk not in TRUNKS:
        raise InputError(f"unknown trunk {trunk!r}: choose one of {', '.join(TRUNKS)}")
    return TRUNKS[trunk] if isinstance(trunk, str) else trunk


def description(
    class_names: Sequence[str],
    trunk: str | Trunk,
    min_side: int | Sequence[int],
    max_side: int,
) -> dict:
    """What a `DetectionModel` shall know, whichever it is."""
    return {
        "class_names": checked_names(class_names),
        "trunk": trunk if isinstance(trunk, str) else None,
        "pixel_means": checked_trunk(trunk).pixel_means,
        "min_side": (min_side,) if isinstance(min_side, int) else min_side,
        "max_side": max_side,
    }


def features_of(images, trunk: Trunk, rescale: bool):
    """The feature map of scaled images [N, H, W, 3], or the list of a pyramid's maps.

    Published weights expect their own pixels. Random ones need inputs of unit variance: without it
    VGG16 diverged within five steps (docs/results.md).
    """
    x = images
    if trunk.levels:
        x = PadToMultiple(max(trunk.levels), name="pad")(x)
    if trunk.pixel_std is not None:
        x = NormalizedRGB(trunk.pixel_std, name="normalized_rgb")(x)
    elif rescale:
        x = layers.Rescaling(1 / PIXEL_STD, name="rescale")(x)
    features = trunk.build(x)
    return pyramid(features) if trunk.levels else features


def regions_of(features, rois, trunk: Trunk, region_op: str | None):
    """The regions as the head of the trunk takes them, [N, R, height, width, C].

    Args:
        features: [N, H', W', C], or those of a pyramid's levels.
        rois: [N, R, 4] in pixels of the scaled images.
        trunk: says how many cells a region has.
        region_op: of `heads.REGION_OPS`; None: "align" for pyramids, else "pool". With "align" a
            head whose published weights know max-pooled features, as VGG16's, gets the maxima of
            twice as many cells a side.

    Raises:
        InputError: there is no such op.
    """
    region_op = region_op or ("align" if trunk.levels else "pool")
    if trunk.levels and region_op == "pool":
        raise InputError("region_op: a pyramid's regions are read by RoIAlign; give align")
    if region_op not in heads.REGION_OPS:
        raise InputError(f"region_op: must be {' or '.join(heads.REGION_OPS)}, not {region_op!r}")
    if region_op == "pool":
        layer = RoIPool(trunk.pool_size, 1 / trunk.stride, name=heads.REGION_LAYER)
        return layer(features, rois)
    if "fc6" not in trunk.renamed:
        return RoIAlign(trunk.pool_size, trunk.strides, name=heads.REGION_LAYER)(features, rois)
    height, width = trunk.pool_size
    x = RoIAlign((2 * height, 2 * width), trunk.stride, name=heads.REGION_LAYER)(features, rois)
    return BinMax(name="region_max")(x)


def load_and_freeze(
    model: keras.Model, trunk: Trunk, weights: str | None, finetune_from: str | None, detector: str
) -> None:
    """Load pretrained weights, if there are any, and freeze what is not to be trained.

    Raises:
        InputError: region proposals would neither be loaded nor trained; or as `load_pretrained`
            and `Trunk.frozen`.
    """
    if weights is None:  # all at random, or copied from another run by the caller
        loaded = [layer.name for layer in model.layers]
    else:
        loaded = load_pretrained(model, trunk, weights)
    frozen = trunk.frozen(finetune_from, detector) if weights or finetune_from else []
    # Whether or not a user's own trunk says what its parts are.
    is_trunk_frozen = finetune_from in heads.parts(detector)
    for layer in model.layers:
        is_trunk = bool(layer.weights) and heads.part_of(layer.name) == "trunk"
        # Batch normalisation keeps its statistics: those of two images would be noise. A frozen
        # one computes as in inference.
        is_norm = isinstance(layer, layers.BatchNormalization)
        if is_norm or is_one_of(layer.name, frozen) or (is_trunk_frozen and is_trunk):
            layer.trainable = False
            part = heads.part_of(layer.name)
            if part in ("rpn", "fpn") and layer.weights and layer.name not in loaded:
                what = "region proposal network" if part == "rpn" else "feature pyramid"
                raise InputError(
                    f"finetune_from: {finetune_from} would leave the {what} at its random weights; "
                    f"{part} trains it and what comes after it, but no layer before"
                )
