"""The training input pipelines of the region proposal network and of Faster R-CNN.

Shape letters: N images a batch, S anchors sampled from an image, M of its objects.
"""

import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.batches.anchor_targets import anchor_targets
from keras_frcnn.batches.examples import WHOLE, Share, TrainingImages
from keras_frcnn.batches.masks import cut_objects
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.preprocessing import box_scale
from keras_frcnn.models.mask_targets import FRAMED_SIZE
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.settings import Settings

# Folded into an example's key for what Fast R-CNN's pipeline does not draw.
_ANCHORS, _ROIS = 3, 4


def anchor_dataset(
    dataset: Dataset,
    pixel_means: tuple[float, float, float],
    options: ProposalOptions,
    settings: Settings,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Endless mini-batches for `model.fit` of `settings.detector`, one that makes proposals.

    Images, order, scales and mirror images are those of `pipeline.training_dataset` with the same
    settings; in place of RoIs, anchors are labelled and sampled. Unlike proposals they have their
    size in pixels of the scaled image, so this is done after scaling.

    Args:
        dataset: to train on.
        pixel_means: of the trunk, (B, G, R).
        options: the anchors.
        settings: of these, what `TrainingImages` takes, `anchors_per_image` and `detector`.
        start: number of the first batch.
        share: of each batch, that a worker takes.

    Returns:
        Pairs of `{"images": [N, H, W, 3], "anchors": int32 [N, S, 3]}`, rows (y, x, a), and
        `{"rpn_cls_score": labels [N, S], "rpn_bbox_pred": [N, S, 5]}`, rows (label, tx, ty, tw,
        th). For faster_rcnn and mask_rcnn the first has more of the inputs of `FasterRCNN` and
        `MaskRCNN`, and the second zeros for the outputs whose truth the model itself finds.

    Raises:
        InputError: no image has a usable object, or masks are to be learnt and none has one.
    """
    source = TrainingImages(dataset, pixel_means, settings)
    masks = source.masks() if settings.has_masks else None

    def example(i, k):
        key = source.key(i)
        seeds = source.seeds(i)
        gt_boxes = source.boxes[k]
        image, original, size = source.scaled(i, k)

        def mirrored():
            width = tf.cast(original[1], tf.float32)
            return image[:, ::-1], box_ops.flip_horizontally(gt_boxes, width)

        is_mirrored = tf.random.stateless_uniform([], seeds[1]) < 0.5
        image, gt_boxes = tf.cond(is_mirrored, mirrored, lambda: (image, gt_boxes))
        unscaled = gt_boxes
        scale = box_scale(original, size)
        gt_boxes *= scale
        with tf.name_scope("sample_anchors"):
            anchors, labels, targets = anchor_targets(
                size,
                gt_boxes,
                tf.random.fold_in(key, _ANCHORS),
                options,
                settings.anchors_per_image,
            )
        rows = tf.concat([tf.cast(labels, tf.float32)[:, None], targets], axis=1)
        inputs = {"images": image, "anchors": anchors}
        truth = {"rpn_cls_score": labels, "rpn_bbox_pred": rows}
        if settings.detector == "rpn":
            return inputs, truth
        inputs |= {
            "image_sizes": size,
            "box_scales": scale[:2],
            "gt_boxes": gt_boxes,
            "gt_classes": source.classes[k],
            "seed": tf.random.fold_in(key, _ROIS),
        }
        truth |= {"cls_score": tf.zeros([1]), "bbox_pred": tf.zeros([1])}
        if masks is None:
            return inputs, truth
        every = tf.range(tf.shape(unscaled)[0])
        with tf.name_scope("cut_masks"):
            cut = cut_objects(masks.of(k), original, every, unscaled, FRAMED_SIZE, is_mirrored)
        return inputs | {"gt_masks": cut}, truth | {"mask_logits": tf.zeros([1])}

    return source.batches(example, start, share)
