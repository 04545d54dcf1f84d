"""What the mask branch learns from: an object's bitmap in the frame of a RoI.

The cut is RoIAlign with as many samples as cells, and a threshold of 0.5 (as detectron2 has it).
Where RoIs are known only inside the model, it cuts from each object's bitmap in the frame of its
own box.

Shape letters: N images, G ground-truth objects (short rows padded), R RoIs of an image, D of which
the mask branch sees, B bitmaps of H x W cells, M x M cells of a target, F x F of a framed bitmap.
"""

import keras
import tensorflow as tf

from keras_frcnn.custom_ops import roi_align
from keras_frcnn.models.mask_losses import IGNORED
from keras_frcnn.sampling import assign

FRAMED_SIZE = 112  # F; with 56, twice as many cells of a target differ from the direct cut


def cut_masks(bitmaps: tf.Tensor, boxes: tf.Tensor, size: int) -> tf.Tensor:
    """The part of each bitmap in a box, as uint8 [B, size, size] of 0 and 1.

    Args:
        bitmaps: [B, H, W], 1 inside the object and 0 outside.
        boxes: [B, 4] in cells of the bitmaps; a box without area gives zeros.
    """
    index = tf.range(tf.shape(boxes)[0], dtype=tf.float32)
    rois = tf.concat([index[:, None], tf.cast(boxes, tf.float32)], axis=1)
    features = tf.cast(bitmaps, tf.float32)[..., None]
    return tf.cast(roi_align(features, rois, size, size, 1.0)[..., 0] >= 0.5, tf.uint8)


def framed(boxes: tf.Tensor, frames: tf.Tensor, size: int = FRAMED_SIZE) -> tf.Tensor:
    """Boxes [..., 4] in cells of bitmaps that are `size` cells in boxes `frames` [..., 4]."""
    corner = tf.tile(frames[..., :2], [1] * (frames.shape.rank - 1) + [2])
    side = frames[..., 2:] - frames[..., :2]
    side = tf.tile(side, [1] * (frames.shape.rank - 1) + [2])
    return tf.math.divide_no_nan((boxes - corner) * size, side)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CutMaskTargets(keras.layers.Layer):
    """The RoIs that the mask branch sees in joint training, and their targets.

    Call it with rois [N, R, 4] and labels int [N, R], foreground first as `SampleRoIs` gives them,
    gt_boxes [N, G, 4] and gt_masks uint8 [N, G, F, F], each object's bitmap in the frame of its
    box, 255 where it has none. It returns mask_rois [N, D, 4], the first D rows, mask_classes
    int32 [N, D] and targets uint8 [N, D, M, M], 255 in rows that are not foreground or without
    mask. No gradient passes.

    Args:
        regions: D; an image has no more foreground RoIs than this.
        mask_size: M.
    """

    def __init__(self, regions: int, mask_size: int, **kw):
        super().__init__(autocast=False, **kw)
        self.regions, self.mask_size = regions, mask_size
        self.supports_jit = False

    def call(self, rois, labels, gt_boxes, gt_masks):
        """Return mask_rois, mask_classes and targets."""
        # Fewer only where no image has as many RoIs.
        rois, classes = rois[:, : self.regions], labels[:, : self.regions]

        def one_image(inputs):
            rois, classes, gt_boxes, gt_masks = inputs
            # The match that made them foreground, found again: IoU and ties are the same.
            _, best = assign(rois, gt_boxes)
            own = tf.gather(gt_masks, best)
            counts = (classes > 0) & (own[:, 0, 0] != IGNORED)
            boxes = tf.where(counts[:, None], framed(rois, tf.gather(gt_boxes, best)), 0.0)
            targets = cut_masks(own, boxes, self.mask_size)
            return tf.where(counts[:, None, None], targets, IGNORED)

        m = self.mask_size
        with tf.device("CPU:0"):
            gt_boxes = tf.cast(gt_boxes, tf.float32)
            # An image without any object would have no row to gather.
            gt_boxes = tf.pad(gt_boxes, [[0, 0], [0, 1], [0, 0]])
            gt_masks = tf.pad(gt_masks, [[0, 0], [0, 1], [0, 0], [0, 0]])
            targets = tf.map_fn(
                one_image,
                (rois, classes, gt_boxes, gt_masks),
                fn_output_signature=tf.TensorSpec([None, m, m], tf.uint8),
            )
        return tf.stop_gradient(rois), tf.maximum(classes, 0), targets

    def compute_output_spec(self, rois, labels, gt_boxes, gt_masks):
        """Shapes and types of the outputs."""
        # D stays open: in detection the branch reads another number of RoIs.
        shape = (rois.shape[0], None)
        return (
            keras.KerasTensor((*shape, 4), "float32"),
            keras.KerasTensor(shape, "int32"),
            keras.KerasTensor((*shape, self.mask_size, self.mask_size), "uint8"),
        )

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "regions": self.regions, "mask_size": self.mask_size}


@keras.saving.register_keras_serializable(package="keras_frcnn")
class CarryMaskTargets(keras.layers.Layer):
    """Put targets before the logits, where `mask_losses.CarriedMaskLoss` finds them.

    Call it with mask_logits [N, D, M, M] and targets [N, D, M, M]; it returns [N, D, M, M, 2].
    """

    def __init__(self, **kwargs):  # by this word Keras keeps the name in the layer's file
        super().__init__(autocast=False, **kwargs)

    def call(self, mask_logits, targets):
        """Stack."""
        return tf.stack([tf.cast(targets, mask_logits.dtype), mask_logits], axis=-1)

    def compute_output_spec(self, mask_logits, targets):
        """[N, D, M, M, 2] in the type of the logits."""
        return keras.KerasTensor((*mask_logits.shape, 2), dtype=mask_logits.dtype)
