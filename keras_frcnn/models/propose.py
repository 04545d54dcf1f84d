"""From the region proposal network's outputs to proposals (Ren et al. 2015, section 3.3).

Shape letters: N images, H' x W' cells of the feature map, A anchors a cell, P proposals an image,
k boxes before the suppression.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.models.anchors import anchor_grid, base_anchors, cells_of


@keras.saving.register_keras_serializable(package="keras_frcnn")
class Propose(keras.layers.Layer):
    """Move the anchors, drop small boxes, keep the best and suppress those near a better one.

    Call it with
        scores [N, H', W', A, 2], logits of background and object,
        deltas [N, H', W', A, 4],
        image_sizes int32 [N, 2], (height, width) of the scaled images without padding,
        box_scales float32 [N, 2], (x, y): scaled pixels in one of the original image;
    it returns
        proposals float32 [N, P, 4], best first, in scaled pixels; rows from the image's number of
        proposals on are four -1,
        objectness float32 [N, P], probabilities; there 0.
    No gradient passes.

    Anchors are ranked by the difference of their logits, equal ones by their place in the map;
    without ties the suppression's order is defined. Anchors outside the image's own cells and those
    with a number that is not finite are left out.

    Args:
        scales, ratios, stride: of the anchors (`anchors.base_anchors`).
        pre_nms: so many of the best boxes enter the suppression; None: all.
        post_nms: P.
        nms_iou: a box with a higher IoU than this with a better one is suppressed.
        min_size: shorter side of a box at least, in pixels of the original image.
    """

    def __init__(
        self,
        scales: Sequence[float],
        ratios: Sequence[float],
        stride: int = 16,
        pre_nms: int | None = 6000,
        post_nms: int = 300,
        nms_iou: float = 0.7,
        min_size: float = 16.0,
        **kw,
    ):
        super().__init__(autocast=False, **kw)
        self.scales, self.ratios, self.stride = tuple(scales), tuple(ratios), stride
        self.pre_nms, self.post_nms = pre_nms, post_nms
        self.nms_iou, self.min_size = nms_iou, min_size
        self.supports_jit = False  # XLA has another op for the suppression

    @property
    def base(self) -> np.ndarray:
        """The anchors of the first cell, [A, 4]."""
        return base_anchors(self.scales, self.ratios, self.stride)

    def call(self, scores, deltas, image_sizes, box_scales):
        """Return proposals [N, P, 4] and objectness [N, P]."""
        # On the host, where RoI pooling wants its boxes and the suppression has its only kernel.
        with tf.device("CPU:0"):
            scores = tf.cast(tf.stop_gradient(scores), tf.float32)
            deltas = tf.cast(tf.stop_gradient(deltas), tf.float32)
            logits = scores[..., 1] - scores[..., 0]  # unlike the softmax they do not saturate
            boxes = self._boxes(deltas, image_sizes)
            usable = self._is_usable(logits, deltas, boxes, image_sizes, box_scales)
            n = tf.shape(logits)[0]
            logits = tf.where(usable, logits, -float("inf"))
            # At least one row, that of no anchor, for images too small for any cell.
            logits = tf.pad(
                tf.reshape(logits, [n, -1]), [[0, 0], [0, 1]], "CONSTANT", -float("inf")
            )
            boxes = tf.pad(tf.reshape(boxes, [n, -1, 4]), [[0, 0], [0, 1], [0, 0]])
            return self._suppressed(logits, boxes)

    def _boxes(self, deltas, image_sizes):
        """The moved anchors, clipped: [N, H', W', A, 4]."""
        rows, columns, a = tf.unstack(tf.shape(deltas)[1:4])
        grid = tf.reshape(anchor_grid(rows, columns, self.base, self.stride), [rows, columns, a, 4])
        boxes = box_ops.decode(grid, deltas)
        return box_ops.clip(boxes, image_sizes[:, None, None, None])

    def _is_usable(self, logits, deltas, boxes, image_sizes, box_scales):
        """Which boxes may be proposals: [N, H', W', A]."""
        own = cells_of(image_sizes, self.stride)
        rows, columns = tf.unstack(tf.shape(logits)[1:3])
        is_row = tf.range(rows)[None] < own[:, :1]
        is_column = tf.range(columns)[None] < own[:, 1:]
        side = boxes[..., 2:] - boxes[..., :2]
        is_large = (side > 0) & (side >= self.min_size * box_scales[:, None, None, None])
        is_finite = tf.math.is_finite(logits) & tf.reduce_all(tf.math.is_finite(deltas), axis=-1)
        cells = is_row[:, :, None] & is_column[:, None]
        return cells[..., None] & tf.reduce_all(is_large, axis=-1) & is_finite

    def _suppressed(self, logits, boxes):
        count = tf.shape(logits)[1]
        k = count if self.pre_nms is None else tf.minimum(self.pre_nms, count)
        logits, index = tf.math.top_k(logits, k)  # of equals the lower index first
        boxes = tf.gather(boxes, index, batch_dims=1)
        # The op leaves the order of equal scores open: ranks have none.
        ranks = tf.cast(k - tf.range(k), tf.float32)
        ranks = tf.where(logits > -float("inf"), ranks, 0.0)
        _, kept, _, _ = tf.image.combined_non_max_suppression(
            boxes[:, :, None],
            ranks[:, :, None],
            max_output_size_per_class=self.post_nms,
            max_total_size=self.post_nms,
            iou_threshold=self.nms_iou,
            score_threshold=0.0,
            clip_boxes=False,
        )
        is_real = kept > 0
        place = tf.where(is_real, k - tf.cast(kept, tf.int32), 0)
        proposals = tf.gather(boxes, place, batch_dims=1)
        objectness = tf.sigmoid(tf.gather(logits, place, batch_dims=1))
        return (
            tf.where(is_real[..., None], proposals, -1.0),
            tf.where(is_real, objectness, 0.0),
        )

    def compute_output_spec(self, scores, deltas, image_sizes, box_scales):
        """Shapes and types of the outputs."""
        shape = (scores.shape[0], self.post_nms)
        return keras.KerasTensor((*shape, 4), "float32"), keras.KerasTensor(shape, "float32")

    def get_config(self):
        """The constructor's arguments."""
        names = ("scales", "ratios", "stride", "pre_nms", "post_nms", "nms_iou", "min_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
