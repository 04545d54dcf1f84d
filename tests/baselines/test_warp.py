"""R-CNN's crops against their definition (checks B1 to B3)."""

import cv2
import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.baselines.warp import grown, warp
from keras_frcnn.models.layers import RoIPool


def test_a_box_fills_a_crop_but_for_the_context():
    box = grown(np.array([[100, 40, 292, 136]]))[0]
    np.testing.assert_allclose(box, [84, 32, 308, 144], rtol=1e-6)


def test_one_sample_a_pixel_as_opencv_resizes_where_it_does_not_repeat_the_edge():
    image = np.random.default_rng(0).uniform(-120, 120, (90, 120, 3)).astype(np.float32)
    box = np.array([[24, 18, 72, 66]])  # grows to whole pixels: 20, 14, 76, 70
    crop = warp(tf.constant(image), box)[0].numpy()
    resized = cv2.resize(image[14:70, 20:76], (224, 224), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(crop[4:-4, 4:-4], resized[4:-4, 4:-4], atol=1e-3)


def test_context_beyond_the_image_is_the_mean():
    image = tf.ones([64, 64, 3])
    crop = warp(image, np.array([[0, 0, 64, 64]]))[0].numpy()
    side = 64 * 224 / 192
    at = (np.arange(224) + 0.5) * side / 224 - (side - 64) / 2  # in pixels of the image
    is_outside = (at < -0.51) | (at > 64.51)  # beyond where the edge is repeated
    assert is_outside.sum() > 20
    assert not crop[is_outside].any() and not crop[:, is_outside].any()
    np.testing.assert_allclose(crop[16:208, 16:208], 1, rtol=1e-6)


def test_pooling_a_whole_crop_is_max_pooling_of_2_x_2_cells():
    features = np.random.default_rng(0).normal(size=(2, 14, 14, 3)).astype(np.float32)
    rois = np.tile(np.array([0, 0, 208, 208], np.float32), (2, 1, 1))
    pooled = RoIPool(7, 1 / 16)(tf.constant(features), tf.constant(rois))[:, 0]
    np.testing.assert_array_equal(pooled, keras.layers.MaxPooling2D()(features))
