"""What `show` draws: the numbers against their definitions, and where the pictures have them."""

import dataclasses

import numpy as np
import pytest

from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.custom_ops.reference import roi_pool_reference
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.errors import InputError
from keras_frcnn.inspection.mini_batch import mini_batch
from keras_frcnn.inspection.show_batch import hatched, show_batch
from keras_frcnn.inspection.show_data import show_data
from keras_frcnn.inspection.show_features import show_features
from keras_frcnn.inspection.show_proposals import iou_colour, show_proposals
from keras_frcnn.inspection.show_samples import show_samples
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.pictures.canvas import GREY, WHITE, class_colour
from tests.detection.test_detector import iou
from tests.export.conftest import MEANS, small_faster, small_model
from tests.images import random_proposals
from tests.tiny import tiny_dataset, tiny_settings

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    dataset = tiny_dataset(tmp_path_factory.mktemp("images"))
    *others, last = dataset.images
    last = dataclasses.replace(last, is_difficult=np.array([False, True]))
    return dataclasses.replace(dataset, images=(*others, last))


def has(picture, colour):
    return (np.asarray(picture) == colour).all(axis=2)


def test_ground_truth(dataset):
    shown = show_data(dataset, 2)
    assert [s.filename for s in shown] == [r.filename for r in dataset.images[:2]]
    assert shown[0].names == ("one",) and shown[0].boxes.tolist() == [[5, 5, 40, 40]]
    assert has(shown[0].picture, class_colour(1))[20:39, 5].all()  # the left side
    (last,) = show_data(dataset)[2:]
    assert last.is_difficult.tolist() == [False, True]
    left = has(last.picture, class_colour(2))[10:58, 35]
    assert left.any() and not left.all()  # dashed


def test_proposals_by_their_overlap(dataset):
    regions = [
        np.float32([[5, 5, 40, 40], [5, 5, 40, 30], [50, 50, 60, 60]]),
        np.zeros((0, 4), np.float32),
        np.float32([[35, 8, 60, 60]]),
    ]
    first, second, third = show_proposals(dataset, regions)
    expected = [iou(box, [5, 5, 40, 40]) for box in regions[0]]
    np.testing.assert_allclose(first.best_iou, expected, rtol=1e-6)
    assert (first.object_iou.tolist(), first.best_proposal.tolist()) == ([1], [0])
    assert (first.reached, second.reached, third.reached) == (1, 0, 0)
    assert second.best_iou.shape == (0,) and second.best_proposal.tolist() == [-1]
    # The difficult object, which the last proposal is, does not count.
    assert third.best_iou[0] < 0.1 and len(third.object_iou) == 1
    assert has(first.picture, GREY)[52:58, 50].all()
    assert iou_colour(0.099) == GREY and iou_colour(0.5) == iou_colour(0.69) != iou_colour(0.7)


def test_the_mini_batch_is_that_of_training(dataset):
    regions = random_proposals(dataset)
    settings = tiny_settings()
    for step in (0, 3):
        batch = mini_batch(ImageSet(dataset, regions), settings, step)
        means = TRUNKS["tiny"].pixel_means
        inputs, truth = next(
            iter(training_dataset(ImageSet(dataset, regions), means, settings, step))
        )
        np.testing.assert_array_equal(batch.images, inputs["images"])
        np.testing.assert_array_equal(batch.rois, inputs["rois"])
        np.testing.assert_array_equal(batch.labels, truth["cls_score"])
        for image, (height, width) in zip(batch.images, batch.sizes, strict=True):
            beyond = np.ones(image.shape[:2], bool)
            beyond[:height, :width] = False
            assert not image[beyond].any()
            assert image[height - 1].any() and image[:, width - 1].any()
        assert batch.pixels().dtype == np.uint8


def test_samples_lead_to_their_objects(dataset):
    regions = random_proposals(dataset)
    shown = show_samples(dataset, regions, tiny_settings(), 1)
    for n, record in enumerate(shown.batch.records):
        height, width = shown.batch.sizes[n]
        assert shown.pictures[n].size == (width, height)
        scale = np.array([width / record.width, height / record.height] * 2)
        objects = record.boxes * scale
        mirrored = objects[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
        is_fg = shown.batch.labels[n] > 0
        assert is_fg.any()
        for box in shown.target_boxes[n][is_fg]:
            nearest = min(np.abs(truth - box).max() for truth in (*objects, *mirrored))
            assert nearest < 0.05
        assert has(shown.pictures[n], WHITE).any()


def test_the_padding_is_hatched(dataset):
    shown = show_batch(dataset, random_proposals(dataset), tiny_settings())
    assert all(p.size == shown.batch.images.shape[2:0:-1] for p in shown.pictures)
    image = hatched(np.zeros((32, 40, 3), np.uint8), (16, 40))
    lines = (image == GREY).all(axis=2)
    assert not lines[:16].any() and lines[16:].mean() == 1 / 8


@pytest.mark.parametrize(
    "step, detector, message",
    [(-1, "fast_rcnn", "step is -1"), (0, "faster_rcnn", "faster_rcnn draws anchors")],
)
def test_what_has_no_samples(dataset, step, detector, message):
    settings = tiny_settings(detector=detector)
    with pytest.raises(InputError, match=message):
        show_samples(dataset, random_proposals(dataset), settings, step)


@pytest.mark.parametrize("detector", [Detector, ProposingDetector])
def test_features_are_read_as_the_reference_reads(dataset, detector):
    model = small_model() if detector is Detector else small_faster()
    detector = detector(model, MEANS, min_side=96, max_side=160)
    record = dataset.images[2]
    shown = show_features(detector, read_image(record.path), record.boxes)
    layer = model.get_layer("roi_pool")
    rois = np.column_stack([np.zeros(2), shown.rois]).astype(np.float32)
    pooled, argmax = roi_pool_reference(
        shown.features[None], rois, *layer.pool_size, layer.spatial_scale
    )
    np.testing.assert_array_equal(shown.pooled, pooled)
    np.testing.assert_array_equal(shown.argmax, argmax)
    y, x = np.divmod(shown.argmax, shown.features.shape[1])
    for r in range(2):
        for ph, (top, bottom) in enumerate(shown.rows[r]):
            assert ((y[r, ph] >= top) & (y[r, ph] < bottom))[argmax[r, ph] >= 0].all()
        for pw, (left, right) in enumerate(shown.columns[r]):
            inside = (x[r, :, pw] >= left) & (x[r, :, pw] < right)
            assert inside[argmax[r, :, pw] >= 0].all()
        strongest = pooled[r].sum(axis=(0, 1))[shown.channels[r]]
        assert strongest[0] == pooled[r].sum(axis=(0, 1)).max() and (np.diff(strongest) <= 0).all()
    np.testing.assert_array_equal(shown.cells[0], np.round(shown.rois[0] / 8))
    assert shown.picture.width > shown.features.shape[1]


def test_features_of_nothing(dataset):
    detector = Detector(small_model(), MEANS, min_side=96, max_side=160)
    with pytest.raises(InputError, match="boxes: there is none"):
        show_features(detector, np.zeros((30, 30, 3), np.uint8), np.zeros((0, 4)))
