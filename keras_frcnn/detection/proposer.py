"""The proposals that a trained region proposal network makes of a photograph.

Shape letters: N images, H x W pixels, H' x W' cells of the feature map, A anchors a cell, P
proposals an image.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.data.preprocessing import (
    box_scale,
    detection_side,
    pad_small,
    scale_image,
    scaled_size,
)
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import cells_of
from keras_frcnn.models.fpn import OUTPUT
from keras_frcnn.models.heads import REGION_LAYER
from keras_frcnn.models.roi_align import region_inputs
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.rpn_levels import proposing


class Proposer:
    """A model with a region proposal network and all that stands before and behind it.

    Args:
        model: as `RegionProposalNetwork` or `FasterRCNN` builds it.
        pixel_means, min_side, max_side: as for `Detector`; those that the model knows.
        options: how proposals are made, as in detection; those that the model knows.

    Raises:
        InputError: the options have other anchors than the model was built with.
    """

    def __init__(
        self,
        model: keras.Model,
        pixel_means: tuple[float, float, float] | None = None,
        min_side: int | Sequence[int] | None = None,
        max_side: int | None = None,
        options: ProposalOptions | None = None,
    ):
        own = getattr(model, "options", None)
        options = options or own
        if own and _anchors(options) != _anchors(own):
            raise InputError(
                f"options: the anchors of {model.name} have scales {own.scales}, ratios "
                f"{own.ratios} and stride {own.strides or own.stride}; "
                "dataclasses.replace(model.options, ...) changes only what may be another"
            )
        self.model = model
        self.pixel_means = pixel_means or model.pixel_means
        self.min_side = detection_side(model.min_side if min_side is None else min_side)
        self.max_side = max_side or model.max_side
        self.options = options
        self.layer = proposing(options, options.pre_nms_test, options.test)
        self.maps = maps_of(model)
        # One trace for all sizes of images.
        self._traced = tf.function(
            self.propose_batch, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)]
        )

    def propose(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [P, 4] in pixels of a uint8 RGB image [H, W, 3], best first, and objectness [P]."""
        boxes, objectness = (x[0].numpy() for x in self._traced(image[None]))
        is_real = ~box_ops.is_padding(boxes).numpy()
        return boxes[is_real], objectness[is_real]

    def objectness_map(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network says of every anchor of a uint8 RGB image [H, W, 3], before any choice.

        Returns:
            objectness [H', W', A], and cell [2], the (height, width) of a cell in pixels of the
            image. Of a pyramid with L levels they are those of all in the cells of the finest,
            [H', W', A * L].
        """
        image_size = tf.shape(image)[:2]
        size = scaled_size(image_size, self.min_side, self.max_side)
        scaled = pad_small(scale_image(image[None], size, self.pixel_means))
        maps = self.network_maps(scaled)["scores"]
        strides = self.options.strides or (self.options.stride,)
        maps = maps if self.options.strides else [maps]
        rows, columns = cells_of(size, strides[0]).numpy()
        found = []
        for scores, stride in zip(maps, strides, strict=True):
            objectness = tf.sigmoid(scores[0, ..., 1] - scores[0, ..., 0])
            times = stride // strides[0]
            objectness = tf.repeat(tf.repeat(objectness, times, axis=0), times, axis=1)
            found.append(objectness[:rows, :columns])
        cell = strides[0] / box_scale(image_size, size)[1::-1]
        # Ratios outside, and inside them the scales, or the levels, whose anchors differ likewise.
        objectness = tf.stack(found, axis=-1)
        return tf.reshape(objectness, [rows, columns, -1]).numpy(), cell.numpy()

    def propose_batch(self, images):
        """Proposals [N, P, 4] and objectness [N, P] of images [N, H, W, 3] of one size.

        Boxes are in pixels of these; rows of -1 are padding, with an objectness of 0.
        """
        _, proposals, objectness, _ = self.propose_scaled(images)
        return proposals, objectness

    def propose_scaled(self, images):
        """What the detector goes on with: features, proposals, objectness, and the scale.

        The proposals are in pixels of the images as they come; times the scale, [4], they are in
        those that the network sees.
        """
        image_size = tf.shape(images)[1:3]
        size = scaled_size(image_size, self.min_side, self.max_side)
        scale = box_scale(image_size, size)
        n = tf.shape(images)[0]
        maps = self.network_maps(pad_small(scale_image(images, size, self.pixel_means)))
        proposals, objectness = self.layer(
            maps["scores"],
            maps["deltas"],
            tf.tile(size[None], [n, 1]),
            tf.tile(scale[None, :2], [n, 1]),
        )
        is_padding = box_ops.is_padding(proposals)[..., None]
        proposals = tf.where(is_padding, -1.0, proposals / scale)
        return maps["features"], proposals, objectness, scale

    def network_maps(self, images):
        """Features, scores and deltas of scaled images."""
        return self.maps(images, training=False)


def _anchors(options: ProposalOptions):
    return tuple(options.scales), tuple(options.ratios), options.strides or options.stride


def maps_of(model: keras.Model) -> keras.Model:
    """The part of a model that is dense: images to features [N, H', W', C], scores and deltas."""
    layers = {layer.name: layer for layer in model.layers}
    if "rpn_scores" in layers:
        features = layers["rpn_conv"].input
        said = {f"{what}": layers[f"rpn_{what}"].output for what in ("scores", "deltas")}
    else:  # of a pyramid: a list for each
        levels = range(2, 2 + len(model.options.strides))
        features = [layers[f"{OUTPUT}{level}"].output for level in levels[:-1]]
        said = {
            what: [layers[f"rpn_{what}_p{level}"].output for level in levels]
            for what in ("scores", "deltas")
        }
    return keras.Model(model.input["images"], {"features": features, **said}, name="maps")


def head_of(model: keras.Model) -> keras.Model:
    """The part of a `FasterRCNN` behind the proposals: features and RoIs to scores and offsets."""
    layers = {layer.name: layer for layer in model.layers}
    features, rois = region_inputs(layers[REGION_LAYER])
    return keras.Model(
        [features, rois],
        {"cls_score": layers["cls_score"].output, "bbox_pred": layers["bbox_pred"].output},
        name="head",
    )
