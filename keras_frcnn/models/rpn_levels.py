"""The region proposal network on the levels of a feature pyramid (Lin et al. 2017, section 4.1).

The layers that score and move anchors are the same at every level, and every level has anchors of
one scale in its own cells. An anchor's place is (level, y, x, a), the finest level being 0.

Shape letters: N images, L levels of H_l x W_l cells, A anchors a cell, S anchors sampled from an
image, P proposals an image.
"""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_frcnn.models.anchors import anchor_boxes, base_anchors
from keras_frcnn.models.propose import Propose
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.trunks import Trunk

# The numbers of the authors' code for pyramids; those of each level before its suppression.
PYRAMID_OPTIONS = ProposalOptions(
    scales=(8.0,),
    min_size=0.0,
    pre_nms_train=2000,
    train=1000,
    pre_nms_test=1000,
    test=1000,
)


def options_for(options: ProposalOptions | None, trunk: Trunk) -> ProposalOptions:
    """The options, or the authors', with the strides of a trunk.

    A pyramid has a level more for anchors than for regions (`fpn.coarser`).
    """
    if not trunk.levels:
        return replace(options or ProposalOptions(), stride=trunk.stride, strides=())
    strides = (*trunk.levels, 2 * trunk.levels[-1])
    return replace(options or PYRAMID_OPTIONS, stride=trunk.stride, strides=strides)


def anchor_places(options: ProposalOptions) -> list[tuple[np.ndarray, int]]:
    """The anchors of the first cell, float32 [A, 4], and the stride, of each level."""
    return [
        (base_anchors(options.scales, options.ratios, stride), stride)
        for stride in options.strides or (options.stride,)
    ]


def level_anchor_boxes(index: tf.Tensor, options: ProposalOptions) -> tf.Tensor:
    """The boxes [..., 4] of anchors by their places.

    Args:
        index: int [..., 3], rows (y, x, a), or of a pyramid [..., 4], rows (level, y, x, a).
    """
    places = anchor_places(options)
    if not options.strides:
        return anchor_boxes(index, *places[0])
    boxes = tf.zeros(tf.concat([tf.shape(index)[:-1], [4]], axis=0))
    for level, (base, stride) in enumerate(places):
        own = anchor_boxes(index[..., 1:], base, stride)
        boxes = tf.where(index[..., :1] == level, own, boxes)
    return boxes


@keras.saving.register_keras_serializable(package="keras_frcnn")
class TakeLevelAnchors(layers.Layer):
    """What the network says of the sampled anchors.

    Call it with lists of scores [N, H_l, W_l, A, 2] and deltas [N, H_l, W_l, A, 4], and `anchors`
    int32 [N, S, 4], rows (level, y, x, a); it returns logits [N, S, 2] and deltas [N, S, 1, 4], as
    of one class.
    """

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(autocast=False, **kwargs)
        self.supports_jit = False

    def call(self, scores, deltas, anchors):
        """Gather from the levels laid end to end."""
        shapes = [tf.shape(level)[1:4] for level in scores]  # (H_l, W_l, A)
        sizes = tf.stack([tf.reduce_prod(shape) for shape in shapes])
        starts = tf.cumsum(sizes, exclusive=True)
        level, y, x, a = tf.unstack(anchors, axis=-1)
        width = tf.gather(tf.stack([shape[1] for shape in shapes]), level)
        count = shapes[0][2]
        place = tf.gather(starts, level) + (y * width + x) * count + a
        return (
            tf.gather(_end_to_end(scores), place, batch_dims=1),
            tf.gather(_end_to_end(deltas), place, batch_dims=1)[:, :, None],
        )

    def compute_output_spec(self, scores, deltas, anchors):
        """Shapes and types of the outputs."""
        n, s = anchors.shape[:2]
        return (
            keras.KerasTensor((n, s, 2), dtype=scores[0].dtype),
            keras.KerasTensor((n, s, 1, 4), dtype=deltas[0].dtype),
        )


def _end_to_end(maps):
    """[N, H_l, W_l, A, D] of every level to [N, anchors of all, D]."""
    n = tf.shape(maps[0])[0]
    return tf.concat([tf.reshape(m, tf.stack([n, -1, m.shape[-1]])) for m in maps], axis=1)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ProposeOnLevels(layers.Layer):
    """`Propose` on every level by itself, and the best proposals of all.

    Call it as `Propose`, with lists of scores and deltas. What is suppressed is suppressed within a
    level; among the levels the objectness decides, and of equals the finer level is first.

    Args:
        strides: of the levels, the finest first.
        pre_nms: so many of the best boxes of a level enter its suppression; None: all.
        post_nms: P, of each level at most and of all together.
        scales, ratios, nms_iou, min_size: as for `Propose`.
    """

    def __init__(
        self,
        scales: Sequence[float],
        ratios: Sequence[float],
        strides: Sequence[int],
        pre_nms: int | None = 1000,
        post_nms: int = 1000,
        nms_iou: float = 0.7,
        min_size: float = 0.0,
        **kw,
    ):
        super().__init__(autocast=False, **kw)
        self.strides = tuple(strides)
        self.levels = [
            Propose(scales, ratios, stride, pre_nms, post_nms, nms_iou, min_size)
            for stride in strides
        ]
        self.scales, self.ratios = tuple(scales), tuple(ratios)
        self.pre_nms, self.post_nms = pre_nms, post_nms
        self.nms_iou, self.min_size = nms_iou, min_size
        self.supports_jit = False

    def build(self, scores_shape, deltas_shape, image_sizes_shape, box_scales_shape):
        """The layers of the levels have no weights."""
        for propose in self.levels:
            propose.built = True

    def call(self, scores, deltas, image_sizes, box_scales):
        """Return proposals [N, P, 4] and objectness [N, P]."""
        found = [
            propose(*of_level, image_sizes, box_scales)
            for propose, *of_level in zip(self.levels, scores, deltas, strict=True)
        ]
        with tf.device("CPU:0"):
            boxes, objectness = (tf.concat(parts, axis=1) for parts in zip(*found, strict=True))
            objectness, best = tf.math.top_k(objectness, self.post_nms)  # of equals the first
            return tf.gather(boxes, best, batch_dims=1), objectness

    def compute_output_spec(self, scores, deltas, image_sizes, box_scales):
        """Shapes and types of the outputs."""
        shape = (scores[0].shape[0], self.post_nms)
        return keras.KerasTensor((*shape, 4), "float32"), keras.KerasTensor(shape, "float32")

    def get_config(self):
        """The constructor's arguments."""
        names = ("scales", "ratios", "strides", "pre_nms", "post_nms", "nms_iou", "min_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def proposing(
    options: ProposalOptions, pre_nms: int | None, post_nms: int
) -> Propose | ProposeOnLevels:
    """The layer for some options, with the numbers of training or of detection."""
    kind, strides = (
        (ProposeOnLevels, options.strides) if options.strides else (Propose, options.stride)
    )
    return kind(
        options.scales,
        options.ratios,
        strides,
        pre_nms,
        post_nms,
        options.nms_iou,
        options.min_size,
        name="propose",
    )
