"""Networks that make proposals for the benchmarks: random ones that behave as if trained.

With random weights as a training begins, all scores are alike and no anchor is moved: the
suppression would have the anchors as they are, in no order.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.data.preprocessing import scale_image
from keras_frcnn.detection.proposer import Proposer, maps_of
from keras_frcnn.errors import InputError
from keras_frcnn.models.faster_rcnn import RegionProposalNetwork
from keras_frcnn.runs.directory import load_checkpoint, load_settings, proposer_of

# Deviations over the anchors of an image: of the offsets and of the differences of the logits. A
# SqueezeNet trained on photographs of VOC has 0.1 for the centres, 0.3 for the sizes, and 3.
OFFSETS, LOGITS = 0.1, 3.0


def build_proposer(trunk: str, image: np.ndarray, run: str | None = None) -> Proposer:
    """What proposes at 600 to 1000 pixels, in float32: of a run, or by random weights."""
    if run is not None:
        settings = load_settings(Path(run))
        if settings.detector == "fast_rcnn":
            raise InputError(f"--run: {run} is a Fast R-CNN, which makes no proposals")
        trained = proposer_of(load_checkpoint(Path(run), settings), settings)
        return Proposer(trained.model, trained.pixel_means, 600, 1000, trained.model.options)
    keras.utils.set_random_seed(0)
    model = RegionProposalNetwork(("object",), trunk, None)
    as_if_trained(model, image)
    return Proposer(model)


def as_if_trained(model: keras.Model, image: np.ndarray) -> None:
    """Scale the last layers of region proposals so that an image has `OFFSETS` and `LOGITS`.

    Args:
        model: with random weights.
        image: uint8 RGB [H, W, 3], of the size that the network sees.
    """
    pixels = scale_image(image[None], image.shape[:2], model.pixel_means)
    maps = maps_of(model)(pixels, training=False)
    logits = maps["scores"][..., 1] - maps["scores"][..., 0]
    for layer, values, deviation in (
        ("rpn_cls_score", logits, LOGITS),
        ("rpn_bbox_deltas", maps["deltas"], OFFSETS),
    ):
        kernel = model.get_layer(layer).kernel
        kernel.assign(kernel * deviation / tf.math.reduce_std(values))
