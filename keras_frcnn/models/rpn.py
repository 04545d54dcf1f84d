"""The region proposal network: layers that score and move the anchors (Ren et al. 2015, 3.1).

Shape letters: N images, H' x W' cells of the feature map, A anchors a cell, S anchors sampled from
an image.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_frcnn.models.anchors import RATIOS, SCALES, base_anchors
from keras_frcnn.models.convolution import ConvReLU2D


@dataclass(frozen=True)
class ProposalOptions:
    """The anchors, and how proposals are made of what the network says about them.

    The numbers are those of the authors' code. "Train" is joint training; in four steps there is no
    limit before the suppression.
    """

    scales: tuple[float, ...] = SCALES  # of anchors, in cells
    ratios: tuple[float, ...] = RATIOS  # height over width
    nms_iou: float = 0.7  # a proposal of a higher IoU with a better one is suppressed
    min_size: float = 16.0  # shorter side at least, in pixels of the original image
    pre_nms_train: int | None = 12_000  # so many of the best boxes are suppressed among; None: all
    train: int = 2000  # so many are kept
    pre_nms_test: int | None = 6000
    test: int = 300
    stride: int = 16  # pixels a cell; a model's are those of its trunk
    # Of the levels of a pyramid, in place of `stride`; before the suppression there and after it
    # the numbers are those of a level.
    strides: tuple[int, ...] = ()

    def base(self) -> np.ndarray:
        """The anchors of the first cell, [A, 4]."""
        return base_anchors(self.scales, self.ratios, self.stride)


def rpn_head(features, channels: int, anchors: int):
    """A hidden layer that sees 3 x 3 cells, then siblings for the anchors' scores and offsets.

    Args:
        features: [N, H', W', C], or a list of such maps, for all of which the layers are the same.
        channels: of the hidden layer.
        anchors: A, at a cell.

    Returns:
        scores [N, H', W', A, 2], logits of background and object, and deltas [N, H', W', A, 4]; a
        list of each for a list.
    """

    def normal():  # each its own: one would give equal shapes equal numbers
        return keras.initializers.RandomNormal(stddev=0.01)

    # float32 whatever Keras's `floatx`, unless that is more.
    dtype = "float64" if keras.config.floatx() == "float64" else "float32"
    conv = ConvReLU2D(channels, 3, kernel_initializer=normal(), name="rpn_conv")
    siblings = [
        layers.Conv2D(size * anchors, 1, kernel_initializer=normal(), dtype=dtype, name=name)
        for name, size in (("rpn_cls_score", 2), ("rpn_bbox_deltas", 4))
    ]

    def split(x, end):
        names = (f"rpn_scores{end}", f"rpn_deltas{end}")
        return (
            SplitAnchors(anchors, dtype=dtype, name=name)(sibling(x))
            for sibling, name in zip(siblings, names, strict=True)
        )

    if not isinstance(features, list):
        return tuple(split(conv(features), ""))
    levels = [split(conv(x), f"_p{level}") for level, x in enumerate(features, start=2)]
    return tuple(map(list, zip(*levels, strict=True)))


@keras.saving.register_keras_serializable(package="keras_frcnn")
class SplitAnchors(layers.Layer):
    """From channels [N, H', W', A * D] to anchors [N, H', W', A, D], whatever H' and W'.

    Args:
        anchors: A.
    """

    def __init__(self, anchors: int, **kw):
        super().__init__(**kw)
        self.anchors = anchors

    def call(self, x):
        """Split the last dimension."""
        shape = tf.shape(x)
        size = x.shape[-1] // self.anchors
        return tf.reshape(x, tf.concat([shape[:3], [self.anchors, size]], axis=0))

    def compute_output_shape(self, shape):
        """(N, H', W', A, D)."""
        return (*shape[:3], self.anchors, shape[3] // self.anchors)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "anchors": self.anchors}


@keras.saving.register_keras_serializable(package="keras_frcnn")
class TakeAnchors(layers.Layer):
    """What the network says of the sampled anchors.

    Call it with scores [N, H', W', A, 2], deltas [N, H', W', A, 4] and `anchors` int32 [N, S, 3],
    rows (y, x, a); it returns logits [N, S, 2] and deltas [N, S, 1, 4], as of one class.
    """

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(autocast=False, **kwargs)
        self.supports_jit = False

    def call(self, scores, deltas, anchors):
        """Gather from the maps."""
        return (
            tf.gather_nd(scores, anchors, batch_dims=1),
            tf.gather_nd(deltas, anchors, batch_dims=1)[:, :, None],
        )

    def compute_output_spec(self, scores, deltas, anchors):
        """Shapes and types of the outputs."""
        n, s = anchors.shape[:2]
        return (
            keras.KerasTensor((n, s, 2), dtype=scores.dtype),
            keras.KerasTensor((n, s, 1, 4), dtype=deltas.dtype),
        )
