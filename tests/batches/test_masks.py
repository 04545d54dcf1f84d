import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn import run_length
from keras_frcnn.batches.anchor_pipeline import anchor_dataset
from keras_frcnn.batches.masks import ObjectMasks, bitmap, cut_objects
from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.data.load import load
from keras_frcnn.errors import InputError
from keras_frcnn.models.mask_targets import cut_masks
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.settings import Settings
from tests.shared_data import shared_data

SIZE = HEIGHT, WIDTH = 60, 80
MEANS = (103.939, 116.779, 123.68)


def ellipse(cx, cy, rx, ry):
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1


OBJECTS = [ellipse(20, 30, 14.5, 20.2), ellipse(55, 25, 20, 9.4), ellipse(60, 50, 8, 8)]
BOXES = np.float32([(5, 9, 35, 51), (35, 15, 75, 35), (52, 42, 68, 58)])


def record(path, masks=None, difficult=(False, False, False)):
    if masks is None:
        masks = tuple(map(run_length.from_bitmap, OBJECTS))
    labels = np.int32([1, 2, 1])
    return ImageRecord(
        *("a.png", str(path), *SIZE),
        boxes=BOXES,
        labels=labels,
        is_difficult=np.array(difficult),
        masks=masks,
    )


@pytest.fixture
def dataset(tmp_path):
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "a.png")
    return Dataset("ellipses", ("one", "two"), (record(tmp_path / "a.png"),))


def test_run_lengths_become_bitmaps():
    masks = ObjectMasks([record("a.png", difficult=(False, True, False))], "x")
    runs = masks.of(tf.constant(0))
    assert runs.shape[0] == 2  # the difficult one is left out
    for found, expected in zip(runs, OBJECTS[::2], strict=True):
        np.testing.assert_array_equal(bitmap(found, tf.constant(SIZE)), expected)


def test_every_mask_of_the_data_is_what_pycocotools_decodes():
    for name, split in (("coco128", "val"), ("dsb2018", "test")):
        records = load(shared_data(name), split).images[::25]
        masks = ObjectMasks(records, name)
        for k, r in enumerate(records):
            kept = [m for m, d in zip(r.masks, r.is_difficult, strict=True) if not d]
            for found, counts in zip(masks.of(tf.constant(k)), kept, strict=True):
                expected = run_length.to_bitmap(counts, r.height, r.width)
                drawn = bitmap(found, tf.constant([r.height, r.width]))
                np.testing.assert_array_equal(drawn, expected)


def cut(is_mirrored, boxes, index=(0, 1, -1), masks=None):
    runs = ObjectMasks([record("a.png", masks)], "x").of(tf.constant(0))
    return cut_objects(
        *(runs, tf.constant(SIZE), tf.constant(index), tf.constant(boxes)),
        cells=28,
        is_mirrored=tf.constant(is_mirrored),
    ).numpy()


def test_cut_from_the_image():
    found = cut(False, BOXES)
    for row in range(2):
        expected = cut_masks(OBJECTS[row][None], BOXES[row : row + 1], 28)[0]
        np.testing.assert_array_equal(found[row], expected)
    assert (found[2] == 255).all()


def test_a_mirrored_image_gives_the_mirrored_target():
    mirrored = np.stack([WIDTH - BOXES[:, 2], BOXES[:, 1], WIDTH - BOXES[:, 0], BOXES[:, 3]], 1)
    np.testing.assert_array_equal(cut(True, mirrored), cut(False, BOXES)[:, :, ::-1])


def test_an_object_without_mask_is_left_out():
    masks = run_length.from_bitmap(OBJECTS[0]), None, run_length.from_bitmap(OBJECTS[2])
    found = cut(False, BOXES, (0, 1, 2), masks)
    assert [int((row == 255).all()) for row in found] == [0, 1, 0]


def test_a_data_set_without_masks_is_refused(tmp_path):
    bare = Dataset("bare", ("one", "two"), (record(tmp_path / "a.png", masks=()),))
    for detector in ("mask_fast_rcnn", "mask_rcnn"):
        settings = Settings(detector=detector)
        with pytest.raises(InputError, match="bare: its objects have no masks to learn from"):
            if detector == "mask_rcnn":
                anchor_dataset(bare, MEANS, ProposalOptions(), settings)
            else:
                training_dataset(ImageSet(bare, [BOXES]), MEANS, settings)


def test_targets_are_those_of_the_sampled_rois(dataset):
    """Mode one: from the mini-batch alone, the RoIs taken back to pixels and cut again."""
    settings = Settings(
        detector="mask_fast_rcnn",
        min_side=(90,),
        max_side=400,
        images_per_batch=1,
        rois_per_image=32,
    )
    proposals = [BOXES + np.float32([1.3, -0.8, 2.1, 1.7])]
    made = training_dataset(ImageSet(dataset, proposals), MEANS, settings)
    seen_mirrored = set()
    for inputs, truth in made.take(6):
        labels = truth["cls_score"][0, :8].numpy()
        rois = inputs["rois"][0, :8].numpy()
        np.testing.assert_array_equal(inputs["mask_rois"][0], rois)
        np.testing.assert_array_equal(inputs["mask_classes"][0], np.maximum(labels, 0))
        assert truth["mask_logits"].dtype == tf.uint8
        boxes = rois / 1.5  # 60 x 80 pixels became 90 x 120
        for box, label, target in zip(boxes, labels, truth["mask_logits"][0].numpy(), strict=True):
            if label < 1:
                assert (target == 255).all()
                continue
            plain = [_reference(box, False), _reference(box, True)]
            is_mirrored = [np.mean(p != target) < 0.01 for p in plain]
            assert any(is_mirrored)
            seen_mirrored.add(is_mirrored[1])
    assert seen_mirrored == {True, False}


def _reference(box, mirrored):
    """The target of the object that overlaps most, all in the image as it is seen."""
    bitmaps = [b[:, ::-1] if mirrored else b for b in OBJECTS]
    gt = BOXES.copy()
    if mirrored:
        gt[:, [0, 2]] = WIDTH - BOXES[:, [2, 0]]
    width = np.minimum(gt[:, 2], box[2]) - np.maximum(gt[:, 0], box[0])
    height = np.minimum(gt[:, 3], box[3]) - np.maximum(gt[:, 1], box[1])
    best = np.argmax(np.maximum(width, 0) * np.maximum(height, 0))
    return cut_masks(bitmaps[best][None], box[None], 28)[0].numpy()


def test_joint_training_gets_each_object_in_its_frame(dataset):
    settings = Settings(detector="mask_rcnn", min_side=(90,), max_side=400, images_per_batch=1)
    (inputs, truth), *_ = anchor_dataset(dataset, MEANS, ProposalOptions((2, 4)), settings).take(1)
    masks = inputs["gt_masks"][0].numpy()
    assert masks.shape == (3, 112, 112)
    plain = cut_masks(np.stack(OBJECTS), BOXES, 112).numpy()
    is_mirrored = not np.allclose(inputs["gt_boxes"][0], BOXES * 1.5, atol=1e-3)
    np.testing.assert_array_equal(masks, plain[:, :, ::-1] if is_mirrored else plain)
    assert "mask_logits" in truth
