"""Training runs of Mask R-CNN: both kinds, resumed with the same bits, and what they tell."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from keras_frcnn import run_length
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.runs.directory import load_detector
from keras_frcnn.settings import Settings
from keras_frcnn.training.fit import train
from tests.images import random_proposals
from tests.tiny import tiny_dataset, tiny_settings

pytestmark = pytest.mark.usefixtures("tiny")


def with_masks(dataset):
    """An ellipse in each box."""

    def drawn(record):
        y, x = np.mgrid[: record.height, : record.width] + 0.5
        masks = []
        for x1, y1, x2, y2 in record.boxes:
            across, down = (x - (x1 + x2) / 2) / (x2 - x1), (y - (y1 + y2) / 2) / (y2 - y1)
            masks.append(run_length.from_bitmap(across**2 + down**2 < 0.25))
        return replace(record, masks=tuple(masks))

    return replace(dataset, images=tuple(map(drawn, dataset.images)))


@pytest.fixture
def images(tmp_path):
    return with_masks(tiny_dataset(tmp_path))


def settings_of(detector, **changes):
    own = {"anchor_scales": (4.0,), "anchor_ratios": (1.0, 2.0)} if detector == "mask_rcnn" else {}
    return tiny_settings(detector=detector, deterministic=True, **own, **changes)


def image_set(detector, dataset):
    return ImageSet(dataset, random_proposals(dataset) if detector == "mask_fast_rcnn" else None)


@pytest.mark.parametrize("detector", ["mask_fast_rcnn", "mask_rcnn"])
def test_a_run_resumes_with_the_same_bits_and_detects(tmp_path, images, detector):
    data = image_set(detector, images)
    settings = settings_of(detector, steps=4, dropout=0.5)
    whole = train(tmp_path / "whole", data, settings, checkpoint_every=2)
    train(tmp_path / "parts", data, replace(settings, steps=2), checkpoint_every=2)
    parts = train(tmp_path / "parts", data, settings, resume=True, checkpoint_every=2)
    for ours, theirs in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    row = list(csv.DictReader((tmp_path / "whole" / "log.csv").open()))[-1]
    assert 0 < float(row["mask_logits_loss"]) < 1 and 0 <= float(row["mask_accuracy"]) <= 1
    assert float(row["gradient_norm/mask"]) > 0
    found, _ = load_detector(tmp_path / "whole")
    assert found.kind == detector and found.model.name == f"{detector}_tiny"


def test_only_the_mask_branch(tmp_path, images):
    """A finished detector of boxes gets masks, and finds the same boxes as before."""
    settings = settings_of("mask_rcnn", steps=2)
    plain = replace(settings, detector="faster_rcnn", region_op="align")
    train(tmp_path / "boxes", ImageSet(images), plain)
    settings = replace(settings, initial=str(tmp_path / "boxes"), finetune_from="mask")
    model = train(tmp_path / "masks", ImageSet(images), settings)
    trained = {v.path.split("/")[0] for v in model.trainable_variables}
    assert trained == {f"mask_conv{i}" for i in range(1, 5)} | {"mask_upsampling", "mask_logits"}
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    boxes, _ = load_detector(tmp_path / "boxes")
    masks, _ = load_detector(tmp_path / "masks")
    np.testing.assert_array_equal(boxes.detect(image).boxes, masks.detect(image).boxes)


def test_defaults():
    settings = Settings(detector="mask_rcnn")
    assert settings.region_op == "align" and settings.bg_iou_low == 0
    assert (settings.rois_per_image, Settings(detector="mask_fast_rcnn").rois_per_image) == (
        128,
        64,
    )
    assert Settings().region_op == "pool" and not Settings().has_masks


def test_a_data_set_without_masks_is_refused_before_anything(tmp_path):
    bare = ImageSet(tiny_dataset(tmp_path))
    with pytest.raises(InputError, match="its objects have no masks to learn from"):
        train(tmp_path / "run", bare, tiny_settings(detector="mask_rcnn"))
    assert not (tmp_path / "run").exists()
