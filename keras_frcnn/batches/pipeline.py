"""The training input pipeline: from records and, for Fast R-CNN, proposals to mini-batches.

Shape letters: N images a batch, R RoIs an image, P proposals of an image, M of its objects.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.batches.anchor_pipeline import anchor_dataset
from keras_frcnn.batches.examples import WHOLE, Share, TrainingImages
from keras_frcnn.batches.masks import cut_objects
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.preprocessing import box_scale
from keras_frcnn.models.mask_head import MASK_SIZE
from keras_frcnn.sampling import assign, foreground_rois, sample_rois
from keras_frcnn.settings import Settings


def batches_for(
    model: keras.Model,
    images: ImageSet,
    pixel_means: tuple[float, float, float],
    settings: Settings,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """The mini-batches of the pipeline that `settings.detector`, which is the model's, needs.

    Arguments and errors are those of the pipelines.
    """
    if not settings.makes_proposals:
        return training_dataset(images, pixel_means, settings, start, share)
    return anchor_dataset(images.dataset, pixel_means, model.options, settings, start, share)


def training_dataset(
    images: ImageSet,
    pixel_means: tuple[float, float, float],
    settings: Settings,
    start: int = 0,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """Endless mini-batches for `model.fit` (paper sections 2.3 and 5.2).

    The images come in random order, another one in every pass; each is scaled, mirrored with
    probability 0.5, and gives `rois_per_image` sampled RoIs. Example i is a function of
    (seed, i) alone, so a run that starts at batch n sees what an uninterrupted one would see.
    Images without an object that is not difficult give no RoIs by the paper's rules and are
    left out.

    Args:
        images: to train on, with proposals.
        pixel_means: of the trunk, (B, G, R).
        settings: of these, what `TrainingImages` takes, `rois_per_image` and `bg_iou_low`.
        start: number of the first batch.
        share: of each batch, that a worker takes.

    Returns:
        Pairs of `{"images": [N, H, W, 3], "rois": [N, R, 4]}` and
        `{"cls_score": labels [N, R], "bbox_pred": [N, R, 5]}`, rows of the latter being
        (label, tx, ty, tw, th). Images are padded with zeros to the largest of the batch. For
        mask_fast_rcnn the first has `mask_rois` and `mask_classes` too, and the second
        `mask_logits`, as `MaskFastRCNN` and `mask_losses` describe them.

    Raises:
        InputError: no image has a usable object, or masks are to be learnt and none has one.
    """
    source = TrainingImages(images.dataset, pixel_means, settings)
    masks = source.masks() if settings.has_masks else None
    regions = foreground_rois(settings.rois_per_image)
    places = tf.constant(source.places, tf.int64)

    def proposals_of(k):
        # A call of Python, which takes some 20 microseconds an image beside milliseconds of
        # decoding: as a constant of the graph they would have to fit into memory, twice.
        rois = tf.numpy_function(
            lambda place: np.asarray(images.proposals[place], np.float32),
            [places[k]],
            tf.float32,
            stateful=False,
        )
        return tf.ensure_shape(rois, [None, 4])

    def example(i, k):
        seeds = source.seeds(i)
        rois, gt_boxes, gt_classes = proposals_of(k), source.boxes[k], source.classes[k]
        image, original, size = source.scaled(i, k)

        def mirrored():
            width = tf.cast(original[1], tf.float32)
            boxes = (box_ops.flip_horizontally(b, width) for b in (rois, gt_boxes))
            return image[:, ::-1], *boxes

        is_mirrored = tf.random.stateless_uniform([], seeds[1]) < 0.5
        image, rois, gt_boxes = tf.cond(
            is_mirrored,
            mirrored,
            lambda: (image, rois, gt_boxes),
        )

        # Sampled before they are scaled: neither IoU nor targets depend on the scale, but its
        # rounding would move a proposal of IoU 0.5 to one side or the other.
        with tf.name_scope("sample_rois"):
            rois, labels, targets = sample_rois(
                rois,
                gt_boxes,
                gt_classes,
                seeds[2],
                settings.rois_per_image,
                bg_iou=(settings.bg_iou_low, 0.5),
            )
        scale = box_scale(original, size)
        inputs = {"images": image, "rois": rois * scale}
        truth = {
            "cls_score": labels,
            "bbox_pred": tf.concat([tf.cast(labels, tf.float32)[:, None], targets], axis=1),
        }
        if masks is None:
            return inputs, truth
        rois, classes = rois[:regions], tf.maximum(labels[:regions], 0)
        inputs |= {"mask_rois": rois * scale, "mask_classes": classes}
        _, matched = assign(rois, gt_boxes)  # the match by which they are foreground, again
        matched = tf.where(classes > 0, matched, -1)
        with tf.name_scope("cut_masks"):
            cut = cut_objects(masks.of(k), original, matched, rois, MASK_SIZE, is_mirrored)
        return inputs, truth | {"mask_logits": cut}

    return source.batches(example, start, share)
