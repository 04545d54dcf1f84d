"""What `keras-frcnn check` says of masks."""

import numpy as np
import pytest

from keras_frcnn import run_length
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.inspection import mask_check
from keras_frcnn.inspection.data_check import DataCheck, check_data
from keras_frcnn.inspection.data_page import format_check
from keras_frcnn.inspection.mask_check import (
    beyond_boxes,
    given_back,
    mask_statistics,
    without_mask,
)
from tests.data.test_coco_masks import coco

H, W = 120, 150


def filled(x1, y1, x2, y2):
    bitmap = np.zeros((H, W), np.uint8)
    bitmap[y1:y2, x1:x2] = 1
    return bitmap


def record(bitmaps, boxes=None, difficult=None):
    """An image with an object of each bitmap, in its own box where none is given."""
    masks = tuple(None if b is None else run_length.from_bitmap(b) for b in bitmaps)
    own = [(0, 0, 9, 9) if m is None else run_length.box_of(m, H, W) for m in masks]
    boxes = np.float32(own if boxes is None else boxes)
    difficult = np.zeros(len(masks), bool) if difficult is None else np.array(difficult, bool)
    labels = np.ones(len(masks), np.int32)
    return ImageRecord("a.png", "a.png", H, W, 1, boxes, labels, difficult, None, masks)


def test_sizes_are_coco_classes_by_the_area_of_masks():
    """A ring has a large box and a small mask; 32 x 32 is medium, 96 x 96 large."""
    ring = filled(0, 0, 100, 100) - filled(1, 1, 99, 99)
    bitmaps = [ring, filled(0, 0, 32, 31), filled(0, 0, 32, 32), filled(9, 9, 105, 105), None]
    found = mask_statistics([record([*bitmaps, bitmaps[3]], difficult=[0, 0, 0, 0, 0, 1])])
    assert (found.objects, found.sizes, found.sampled) == (5, (2, 1, 1), 4)
    assert mask_statistics([record([None]), ImageRecord("b.png", "b.png", 9, 9)]) is None


def test_what_cells_give_back():
    """Of a filled box all but its corners; of stripes narrower than a cell much is lost."""
    stripes = np.zeros((H, W), np.uint8)
    stripes[:112, ::4] = 1
    image = record([filled(7, 9, 90, 100), stripes])
    assert 0.999 < given_back(image, 0) < 1
    assert given_back(image, 1) < 0.5
    found = mask_statistics([image])
    assert found.coarse == 0.5
    assert found.mean_iou == pytest.approx(np.mean([given_back(image, i) for i in (0, 1)]))


def test_a_sample_of_many(monkeypatch):
    monkeypatch.setattr(mask_check, "SAMPLE", 3)
    found = mask_statistics([record([filled(0, 0, 9, 9 + i) for i in range(5)])] * 2)
    assert (found.sampled, sum(found.sizes), found.coarse) == (3, 10, 0)


def test_more_objects_than_255():
    """That many at once, pycocotools cannot measure."""
    assert mask_statistics([record([filled(0, 0, 9, 9)] * 256)]).sizes == (256, 0, 0)


def test_masks_out_of_their_boxes():
    bitmap = filled(10, 10, 30, 40)
    boxes = [(12, 10, 30, 40), (12.5, 10, 30, 40), (0, 0, 90, 37.9), (12, 12, 28, 38), (0, 0, 9, 9)]
    image = record([bitmap] * 5, boxes, [0, 0, 0, 0, 1])
    # By 2 pixels it may; a mask much smaller than its box is no fault; difficult ones are left.
    assert beyond_boxes([image]) == ["a.png: object 2, by 2 pixels", "a.png: object 3, by 2 pixels"]


def test_objects_without_masks():
    image = record([filled(0, 0, 5, 5), None, None], difficult=[0, 0, 1])
    assert without_mask([image]) == ["a.png: object 2"]


def test_the_page(tmp_path):
    square, far = [5, 5, 15, 5, 15, 20, 5, 20], [5, 5, 25, 5, 25, 20, 5, 20]
    check = check_data(coco(tmp_path, [square], [far], None))
    kinds = {finding.kind: finding for finding in check.findings}
    assert kinds["objects without a mask"].examples == ("images/a.png: object 3",)
    beyond = kinds["masks that reach more than 2 pixels out of their box"]
    assert beyond.examples == ("images/a.png: object 2, by 10 pixels",) and not check.is_refused
    page = format_check(check)
    assert (
        "masks: 2 of 3 objects have one: 2 small (below 32 x 32 pixels), 0 medium, 0 large (from "
        "96 x 96 on)\ncut to 28 x 28 cells and pasted, masks keep a mean IoU of 1.000; 0.0% stay "
        "below 0.9\n" in page
    )


def test_nothing_is_said_without_masks():
    splits = {"all": Dataset("d", ("a",), (record([None]),))}
    assert "mask" not in format_check(DataCheck("d", "COCO", ("a",), splits, (), ()))
