import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import portable_ops
from keras_frcnn.custom_ops.align_reference import roi_align_reference
from keras_frcnn.custom_ops.cases import random_features, random_rois, same_bits
from keras_frcnn.models.roi_align import BinMax, RoIAlign, roi_levels

STRIDES = (4, 8, 16, 32)


def boxes_of_sides(*sides):
    return np.float32([(3, 5, 3 + side, 5 + side) for side in sides])


def rows_of(rois):
    n, r, _ = rois.shape
    images = np.repeat(np.arange(n), r)[:, None]
    return np.concatenate([images, rois.reshape(-1, 4)], axis=1).astype(np.float32)


def expected(maps, rois, levels, *options):
    """By the NumPy loop."""
    scales = [1 / stride for stride in STRIDES]
    read = roi_align_reference(maps, rows_of(rois), levels.ravel(), 7, 7, scales, *options)
    return read.reshape(*rois.shape[:2], 7, 7, -1)


def test_levels_begin_at_their_sides():
    # He's table: the bounds 112, 224 and 448 belong to the coarser level.
    boxes = boxes_of_sides(111.9, 112, 223.9, 224, 447.9, 448, 0, -30, 5000)
    levels = roi_levels(boxes, STRIDES).numpy() + 2
    assert levels.tolist() == [2, 3, 3, 4, 4, 5, 2, 2, 5]


def test_the_area_decides_the_level():
    boxes = np.float32([(0, 0, 448, 27.9), (0, 0, 448, 28), (9, 9, -391, -391)])
    assert roi_levels(boxes, STRIDES).numpy().tolist() == [0, 1, 0]


def test_one_map_has_one_level():
    assert roi_levels(boxes_of_sides(3, 300), (16,)).numpy().tolist() == [0, 0]


@pytest.mark.parametrize("options", [(0, True), (2, False)])
def test_every_roi_reads_its_level_of_its_image(options):
    maps = [random_features((2, 512 // s, 640 // s, 3), seed=s) for s in STRIDES]
    rois = random_rois(12, 1, 500, 620)[:, 1:].reshape(2, 6, 4)
    levels = roi_levels(rois, STRIDES).numpy()
    assert len(set(levels.ravel())) > 2
    layer = RoIAlign(7, STRIDES, *options)
    output = layer(list(map(tf.constant, maps)), rois)
    assert same_bits(output.numpy(), expected(maps, rois, levels, *options))


def test_one_level_is_the_same_alone_and_in_a_pyramid():
    maps = [random_features((1, 128 // s * 4, 160 // s * 4, 5), seed=s) for s in STRIDES]
    rois = np.float32([[[10, 20, 90, 100], [0, 0, 111, 111], [0, 0, 0, 0]]])
    alone = RoIAlign(7, STRIDES[0])(maps[0], rois)
    assert same_bits(RoIAlign(7, STRIDES)(maps, rois).numpy(), alone.numpy())


def test_padding_gives_zeros():
    output = RoIAlign(2)(random_features((1, 4, 5, 3)), np.zeros((1, 2, 4), np.float32))
    assert not output.numpy().any()


def test_saved_and_loaded_it_is_the_same(tmp_path):
    features = [keras.Input((None, None, 3)) for _ in STRIDES]
    rois = keras.Input((None, 4))
    aligned = RoIAlign((3, 2), STRIDES, 2, False)(features, rois)
    assert aligned.shape == (None, None, 3, 2, 3)
    model = keras.Model([*features, rois], aligned)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    values = [random_features((1, 256 // s, 256 // s, 3), seed=s) for s in STRIDES]
    values.append(np.float32([[[0, 0, 200, 100], [9, 9, 40, 50]]]))
    assert same_bits(loaded(values).numpy(), model(values).numpy())


def test_coordinates_stay_float32_under_any_policy():
    features = random_features((1, 8, 8, 3))
    rois = np.float32([[[1.001, 2.003, 90.7, 100.9]]])
    whole = RoIAlign(3)(features, rois)
    half = RoIAlign(3, dtype="mixed_bfloat16")(tf.cast(features, tf.bfloat16), rois)
    assert half.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(half, tf.float32), whole, atol=0.02)


def test_the_portable_version_gives_the_same():
    maps = [random_features((2, 256 // s, 256 // s, 3), seed=s) for s in STRIDES]
    rois = random_rois(8, 1, 250, 250)[:, 1:].reshape(2, 4, 4)
    output = RoIAlign(3, STRIDES)(maps, rois)
    with portable_ops():
        portable = RoIAlign(3, STRIDES)(maps, rois)
    assert same_bits(output.numpy(), portable.numpy())


def test_images_and_rois_must_be_as_many():
    with pytest.raises(tf.errors.InvalidArgumentError, match="different numbers of images"):
        RoIAlign(2)(random_features((2, 4, 4, 1)), np.zeros((1, 1, 4), np.float32))


def test_no_two_rois_are_merged():
    rois = np.float32([[[0, 0, 9, 9], [0, 0, 9, 9.5]], [[1, 1, 2, 2], [0, 0, 0, 0]]])
    distinct, index = RoIAlign(2).distinct_rois(tf.constant(rois))
    assert same_bits(distinct.numpy(), rois)
    assert index.numpy().tolist() == [[0, 1], [0, 1]]


def test_the_maximum_of_bins():
    x = random_features((6, 4, 6, 3)).reshape(2, 3, 4, 6, 3)
    output = BinMax()(x)
    assert output.shape == (2, 3, 2, 3, 3)
    assert same_bits(output.numpy(), x.reshape(2, 3, 2, 2, 3, 2, 3).max((3, 5)))
