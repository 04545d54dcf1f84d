import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops.align_reference import roi_align_reference
from keras_frcnn.models.mask_targets import CutMaskTargets, cut_masks, framed


def reference_cut(bitmap, box, size):
    """By the NumPy loop of RoIAlign."""
    rois = np.float32([[0, *box]])
    features = [bitmap[None, :, :, None].astype(np.float32)]
    return (
        roi_align_reference(features, rois, np.zeros(1, int), size, size, [1.0])[0, ..., 0] >= 0.5
    )


def disc(height=40, width=50, centre=(22.3, 17.8), radius=12.4):
    y, x = np.mgrid[:height, :width] + 0.5
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2).astype(np.uint8)


BOXES = np.float32([[9.9, 5.4, 34.7, 30.2], [0, 0, 50, 40], [20, 3, 49.5, 18], [3, 3, 3, 9]])


def test_cutting_is_roi_align_and_a_threshold():
    cut = cut_masks(np.repeat(disc()[None], 4, 0), BOXES, 28).numpy()
    for box, found in zip(BOXES, cut, strict=True):
        np.testing.assert_array_equal(found, reference_cut(disc(), box, 28))


def test_boxes_in_frames():
    frames = np.float32([[10, 20, 20, 60], [5, 5, 5, 9]])
    boxes = np.float32([[10, 20, 20, 60], [5, 5, 6, 9]])
    found = framed(tf.constant(boxes), tf.constant(frames), 112).numpy()
    np.testing.assert_array_equal(found[0], [0, 0, 112, 112])
    assert np.isfinite(found).all()  # a frame without a side gives no number that is none


def framed_bitmaps(bitmap, boxes):
    return cut_masks(np.repeat(bitmap[None], len(boxes), 0), boxes, 112)


def test_what_the_model_cuts_is_nearly_what_the_image_gives():
    objects = np.float32([[[9, 5, 35, 31], [0, 0, 50, 40], [0, 0, 0, 0]]])
    masks = np.concatenate([framed_bitmaps(disc(), objects[0, :2]), np.zeros((1, 112, 112))])
    rois = np.float32([[[8, 6, 33, 33], [1, 2, 49, 38], [0, 0, 9, 9], [0, 0, 0, 0]]])
    labels = np.int32([[2, 1, 0, -1]])
    layer = CutMaskTargets(3, 28)
    mask_rois, classes, targets = layer(rois, labels, objects, masks.astype(np.uint8)[None])
    np.testing.assert_array_equal(mask_rois, rois[:, :3])
    np.testing.assert_array_equal(classes, [[2, 1, 0]])
    for box, found in zip(rois[0, :2], targets[0, :2], strict=True):
        assert np.mean(found != reference_cut(disc(), box, 28)) < 0.02
    assert (targets[0, 2].numpy() == 255).all()


def test_an_object_without_mask_counts_nowhere():
    objects = np.float32([[[9, 5, 35, 31]]])
    masks = np.full((1, 1, 112, 112), 255, np.uint8)
    _, classes, targets = CutMaskTargets(1, 28)(objects, np.int32([[1]]), objects, masks)
    assert classes.numpy().tolist() == [[1]]
    assert (targets.numpy() == 255).all()


@pytest.mark.parametrize("rois", [0, 2])
def test_images_without_objects_or_rois(rois):
    empty = np.zeros((2, 0, 4), np.float32), np.zeros((2, 0, 112, 112), np.uint8)
    boxes, labels = np.zeros((2, rois, 4), np.float32), np.zeros((2, rois), np.int32)
    _, classes, targets = CutMaskTargets(4, 28)(boxes, labels, *empty)
    assert classes.shape == (2, rois) and targets.shape == (2, rois, 28, 28)
    assert (targets.numpy() == 255).all()
