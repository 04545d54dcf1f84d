"""Masks in COCO's files: what is read, and what is refused by name."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from keras_frcnn import run_length
from keras_frcnn.data.convert import convert_data
from keras_frcnn.data.load import load
from keras_frcnn.errors import InputError
from tests.data.mask_files import SQUARE, H, W, bitmaps, filled, photograph, write_json
from tests.shared_data import shared_data


def coco(folder, *segmentations, **about):
    """A file with an annotation for each segmentation, its boxes 5, 5, 10, 15."""
    photograph(folder / "images" / "a.png")
    annotations = [
        {
            **{"id": i, "image_id": 7, "category_id": 3, "bbox": [5, 5, 10, 15], "iscrowd": 0},
            **({} if mask is None else {"segmentation": mask}),
            **about,
        }
        for i, mask in enumerate(segmentations, start=1)
    ]
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": H, "width": W}],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "thing"}, {"id": 9, "name": "unused"}],
    }
    write_json(folder / "annotations" / "instances_train.json", content)
    return folder


def rle(bitmap):
    return {"size": list(bitmap.shape), "counts": run_length.from_bitmap(bitmap).decode()}


def test_every_form_of_coco(tmp_path):
    bitmap = filled(5, 5, 15, 20)
    runs = {"size": [H, W], "counts": run_length.runs(run_length.from_bitmap(bitmap)).tolist()}
    dataset = load(coco(tmp_path, [SQUARE], rle(bitmap), runs, None, []))
    record = dataset.images[0]
    assert [m is not None for m in record.masks] == [True, True, True, False, False]
    for drawn in record.masks[:3]:
        np.testing.assert_array_equal(run_length.to_bitmap(drawn, H, W), bitmap)
    assert dataset.has_masks and dataset.class_names == ("thing", "unused")
    assert not load(tmp_path, masks=False).has_masks


def test_without_box_that_of_the_mask(tmp_path):
    folder = coco(tmp_path, [SQUARE], bbox=None)
    np.testing.assert_array_equal(load(folder).images[0].boxes, [[5, 5, 15, 20]])
    np.testing.assert_array_equal(load(folder, masks=False).images[0].boxes, [[5, 5, 15, 20]])


def test_a_mask_outside_is_left_out_with_a_word(tmp_path):
    outside = [x + 100 for x in SQUARE]
    dataset = load(coco(tmp_path, [outside], [SQUARE]))
    assert dataset.images[0].masks[0] is None and len(dataset.images[0].boxes) == 2
    (said,) = dataset.warnings
    assert "annotation 1 (thing): taken without mask, its mask is empty inside the image" in said


def test_a_crowd_is_kept_for_evaluation(tmp_path):
    record = load(coco(tmp_path, rle(filled(0, 0, 9, 9)), iscrowd=1)).images[0]
    assert record.is_difficult.all() and record.masks[0] is not None


@pytest.mark.parametrize(
    "mask, said",
    [
        ([[1, 2, 3, 4]], "a polygon has 4 numbers"),
        ([[1, 2, 3, 4, 5, 1 << 20]], "its polygon is"),
        ([[1, 2, 3, 4, 5, 10**400]], "its polygon is"),
        ({"size": [H, W], "counts": "P" * 20 + "0"}, "its mask is broken .*is no text"),
        ([[1, 2, 3, 4, 5, 6, 7]], "a polygon has 7 numbers"),
        ([["a", 2, 3, 4, 5, 6]], "its polygon is"),
        ([1, 2, 3, 4, 5, 6], ".*neither polygons nor run lengths"),
        ("text", ".*neither polygons nor run lengths"),
        ({"size": [H, W], "counts": [3, 4]}, "its mask is broken .*do not add up to 30 x 40"),
        ({"size": [H, W], "counts": "\u00e9"}, "its mask is broken"),
        ({"size": [H, W], "counts": None}, ".*neither a text nor a list"),
        ({"size": [W, H], "counts": "0"}, "its mask has 30 x 40 pixels, the image 40 x 30"),
        ({"size": "big", "counts": "0"}, "its mask's size is"),
    ],
)
def test_what_is_no_mask_of_coco_names_file_and_object(tmp_path, mask, said):
    folder = coco(tmp_path, [SQUARE], mask)
    with pytest.raises(InputError, match=rf"instances_train\.json: annotation 2 \(thing\): {said}"):
        load(folder)
    assert len(load(folder, masks=False).images[0].boxes) == 2  # boxes alone do not look at it


def test_a_box_of_a_number_without_end_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"annotation 1: its bbox is"):
        load(coco(tmp_path, [SQUARE], bbox=[10**400, 1, 2, 3]))


def test_objects_without_boxes_in_two_files_of_an_image(tmp_path):
    folder = coco(tmp_path, [SQUARE], [[20, 5, 30, 5, 30, 20, 20, 20]], bbox=None)
    path = folder / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [[1, 1, 4, 1, 4, 4, 1, 4]]
    write_json(path.with_name("instances_val.json"), content)
    found = sorted(load(folder).images[0].boxes.tolist())
    assert found == [[1, 1, 4, 4], [5, 5, 15, 20], [20, 5, 30, 20]]


def test_converted_to_coco_and_back(tmp_path):
    folder = coco(tmp_path / "a", [SQUARE], rle(filled(1, 2, 30, 9)), None)
    convert_data(folder, tmp_path / "b", "coco")
    before, after = load(folder).images[0], load(tmp_path / "b").images[0]
    assert before.masks == after.masks and before.masks[0]
    truth = COCO(str(tmp_path / "b" / "annotations" / "instances_train.json"))
    for annotation, bitmap in zip(truth.loadAnns([1, 2]), bitmaps_of(before), strict=True):
        np.testing.assert_array_equal(truth.annToMask(annotation), bitmap)
        assert annotation["area"] == bitmap.sum()
    lost = convert_data(folder, tmp_path / "c", "voc")
    assert any("its masks are left out; --format coco keeps them" in w for w in lost.warnings)


def bitmaps_of(record):
    return [run_length.to_bitmap(m, H, W) for m in record.masks if m is not None]


@pytest.mark.parametrize("name, split", [("coco128", "val"), ("microcontroller", "val")])
def test_the_data_are_as_pycocotools_has_them(name, split):
    folder = shared_data(name)
    dataset = load(folder, split)
    (path,) = (folder / "annotations").glob(f"instances_{split}*.json")
    truth = COCO(str(path))
    for record in dataset.images[::4]:
        annotations = truth.loadAnns(truth.getAnnIds(record.coco_id))
        assert len(annotations) == len(record.masks)
        for annotation, bitmap in zip(annotations, bitmaps(record), strict=True):
            np.testing.assert_array_equal(truth.annToMask(annotation), bitmap)
