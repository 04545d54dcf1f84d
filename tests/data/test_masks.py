"""Masks of every form that a data set may have: what is read, and what is refused by name."""

import base64
import io
import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_frcnn import run_length
from keras_frcnn.data import shapes
from keras_frcnn.data.convert import convert_data
from keras_frcnn.data.load import load, open_source
from keras_frcnn.data.shapes_drawing import draw_picture
from keras_frcnn.data.voc_masks import write_objects
from keras_frcnn.data.voc_writer import WrittenObject, write_annotation
from keras_frcnn.errors import InputError
from tests.shared_data import shared_data

H, W = 30, 40
SQUARE = [5, 5, 15, 5, 15, 20, 5, 20]


def bitmaps(record):
    return [run_length.to_bitmap(m, record.height, record.width) for m in record.masks]


def filled(x1, y1, x2, y2):
    bitmap = np.zeros((H, W), np.uint8)
    bitmap[y1:y2, x1:x2] = 1
    return bitmap


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


# COCO


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


# LabelMe


def labelme(folder, *shapes, name="a", **about):
    photograph(folder / f"{name}.png")
    content = {
        "version": "5.0",
        "shapes": shapes,
        "imagePath": f"..\\elsewhere\\{name}.jpg",  # converted since
        "imageData": None,
        **{"imageHeight": H, "imageWidth": W},
        **about,
    }
    write_json(folder / f"{name}.json", content)
    return folder


def shape(label, points, kind="polygon", group=None, **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": group, **more}


def corners(numbers):
    return [list(p) for p in zip(numbers[::2], numbers[1::2], strict=True)]


def png(bitmap):
    file = io.BytesIO()
    Image.fromarray(bitmap.astype(bool)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_every_shape_of_labelme(tmp_path):
    labelme(
        tmp_path,
        shape("cat", corners(SQUARE)),
        shape("cat", [[5, 5], [15, 20]], "rectangle"),
        shape("dog", [[20, 15], [20, 8]], "circle"),
        shape("dog", [[3, 4], [9, 8]], "mask", mask=png(np.ones((5, 7)))),
        shape("dog", corners([30, 2, 35, 2, 35, 9]), group=4),
        shape("dog", [[30, 20], [36, 25]], "rectangle", group=4),
        shape("cat", [[1, 1], [9, 9]], "line"),
        shape("__ignore__", corners(SQUARE)),
    )
    dataset = load(tmp_path)
    record = dataset.images[0]
    assert open_source(str(tmp_path)).form == "LabelMe"
    assert dataset.class_names == ("cat", "dog")
    assert record.labels.tolist() == [1, 1, 2, 2, 2]
    first, second, circle, drawn, group = bitmaps(record)
    np.testing.assert_array_equal(first, filled(5, 5, 15, 20))
    np.testing.assert_array_equal(second, first)
    y, x = np.mgrid[:H, :W] + 0.5
    assert abs(int(circle.sum()) - ((x - 20) ** 2 + (y - 15) ** 2 < 49).sum()) <= 4
    np.testing.assert_array_equal(drawn, filled(3, 4, 10, 9))
    assert group[20:25, 30:36].all() and group[:9].any()
    assert record.boxes[4].tolist() == list(run_length.box_of(record.masks[4], H, W))
    assert any(
        "shape 6 (cat): skipped, its box of a line is degenerate" in w for w in dataset.warnings
    )


def test_labels_that_count(tmp_path):
    folder = labelme(tmp_path, shape("cat-1", corners(SQUARE)), shape("cat-2", corners(SQUARE)))
    assert load(folder).class_names == ("cat",)
    labelme(tmp_path, shape("dog", corners(SQUARE)), name="b")
    assert load(folder).class_names == ("cat-1", "cat-2", "dog")


@pytest.mark.parametrize(
    "broken, said",
    [
        ({"label": "cat"}, r"shape 1 \(cat\): its points are None"),
        (shape("cat", [[0, 0], [3, "x"], [2, 2]]), r"shape 1 \(cat\): its points are"),
        (shape("cat", [[0, 0], [3, 3]]), r"shape 1 \(cat\): a polygon of 2 points"),
        (shape("cat", [[0, 0], [3, 3]], "blob"), r"shape 1 \(cat\): its shape_type is"),
        (shape("cat", [[0, 0], [3, 3]], ["blob"]), r"shape 1 \(cat\): its shape_type is"),
        (shape("cat", [[0, 0], [3, 3]], "mask", mask="?"), r"shape 1 \(cat\): its mask is no PNG"),
        (shape("", corners(SQUARE)), "shape 1: has no label"),
    ],
)
def test_what_is_no_shape_names_file_and_shape(tmp_path, broken, said):
    labelme(tmp_path, shape("cat", corners(SQUARE)), broken)
    with pytest.raises(InputError, match=rf"a\.json: {said}"):
        load(tmp_path)


def test_labelme_beside_files_of_other_tools(tmp_path):
    write_json(tmp_path / "_settings.json", {"colour": "red"})
    assert len(load(labelme(tmp_path, shape("cat", corners(SQUARE)))).images) == 1


def test_an_image_path_too_long_for_a_file(tmp_path):
    folder = labelme(tmp_path, shape("cat", corners(SQUARE)), imagePath="x" * 5000 + ".jpg")
    assert load(folder).images[0].path == str(tmp_path / "a.png")


def test_labelme_of_another_image_size(tmp_path):
    with pytest.raises(InputError, match=r"a\.json: was made for an image of 44 x 30"):
        load(labelme(tmp_path, shape("cat", corners(SQUARE)), imageWidth=44))


# VIA


def region(shape_attributes, **attributes):
    return {"shape_attributes": shape_attributes, "region_attributes": attributes}


POLYGON = {"name": "polygon", "all_points_x": SQUARE[::2], "all_points_y": SQUARE[1::2]}


def via(folder, regions, project=False):
    photograph(folder / "a.png")
    content = {"a.png123": {"filename": "a.png", "size": 123, "regions": regions}}
    write_json(folder / "via.json", {"_via_img_metadata": content} if project else content)
    return folder


@pytest.mark.parametrize("project", [False, True])
def test_both_versions_of_via(tmp_path, project):
    regions = [
        region(POLYGON, kind="leaf", note="x"),
        region({"name": "rect", "x": 5, "y": 5, "width": 10, "height": 15}, kind="leaf"),
        region({"name": "circle", "cx": 20, "cy": 15, "r": 7}, kind={"stem": True, "leaf": False}),
        region({"name": "ellipse", "cx": 20, "cy": 15, "rx": 9, "ry": 4}, kind="leaf"),
        region({"name": "point", "cx": 3, "cy": 4}, kind="leaf"),
    ]
    found = []
    for name, form in (("list", regions), ("dictionary", dict(enumerate(regions)))):
        dataset = load(via(tmp_path / name, form, project))
        assert dataset.class_names == ("leaf", "stem") and len(dataset.warnings) == 1
        assert dataset.images[0].labels.tolist() == [1, 1, 2, 1]
        found.append(dataset.images[0].masks)
    assert found[0] == found[1]
    drawn = bitmaps(dataset.images[0])
    np.testing.assert_array_equal(drawn[0], filled(5, 5, 15, 20))
    np.testing.assert_array_equal(drawn[1], drawn[0])
    ellipse = cv2.ellipse(np.zeros((H, W), np.uint8), (20, 15), (9, 4), 0, 0, 360, 1, -1)
    assert np.sum(ellipse != drawn[3]) < 40


def test_without_attributes_all_are_of_one_class(tmp_path):
    assert load(via(tmp_path, [region(POLYGON)])).class_names == ("object",)


@pytest.mark.parametrize(
    "broken, said",
    [
        (region(POLYGON), r"region 2: has no class"),
        (region({"name": "blob"}, kind="leaf"), r"region 2 \(leaf\): its shape is"),
        (region({"name": ["blob"]}, kind="leaf"), r"region 2 \(leaf\): its shape is"),
        (
            region({"name": "circle", "cx": 10**400, "cy": 1, "r": 1}, kind="leaf"),
            r"region 2 \(leaf\): a circle needs numbers",
        ),
        (region({"name": "rect", "x": 1}, kind="leaf"), r"region 2 \(leaf\): a rect needs numbers"),
        (
            region({**POLYGON, "all_points_x": [1, 2]}, kind="leaf"),
            r"region 2 \(leaf\): a polygon needs numbers",
        ),
    ],
)
def test_what_is_no_region_names_file_and_region(tmp_path, broken, said):
    regions = [region(POLYGON, kind="leaf"), region(POLYGON, kind="stem"), broken]
    with pytest.raises(InputError, match=rf"via\.json: a\.png: {said}"):
        load(via(tmp_path, regions))


def test_via_of_the_development_data():
    folder = shared_data("kudzu")
    assert [sum(len(r.masks) for r in load(folder, s).images) for s in ("train", "val")] == [
        520,
        349,
    ]


# images of masks


def save(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(labels, np.uint8)).save(path)


A, B = filled(2, 3, 10, 12), filled(20, 5, 33, 25)


@pytest.mark.parametrize(
    "image, masks",
    [
        ("x/images/x.png", {"x/masks/1.png": A * 255, "x/masks/2.png": B * 255}),
        ("images/x.png", {"masks/x/1.png": A, "masks/x/2.png": B * 255}),
        ("images/x.png", {"masks/x.png": A + 2 * B}),
        ("PNGImages/x.png", {"PedMasks/x_mask.png": A + 7 * B}),
    ],
)
def test_every_layout_of_mask_images(tmp_path, image, masks):
    photograph(tmp_path / image)
    for name, labels in masks.items():
        save(tmp_path / name, labels)
    dataset = load(tmp_path)
    (record,) = dataset.images
    assert dataset.class_names == ("object",)
    for found, expected in zip(bitmaps(record), (A, B), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(record.boxes, [[2, 3, 10, 12], [20, 5, 33, 25]])


def test_folders_of_masks_are_classes_and_splits(tmp_path):
    for split in ("train", "val"):
        photograph(tmp_path / split / "images" / "x.png")
        save(tmp_path / split / "masks" / "cat" / "x.png", A)
        save(tmp_path / split / "masks" / "dog" / "x.png", B)
    dataset = load(tmp_path, "val")
    assert dataset.class_names == ("cat", "dog") and len(dataset.images) == 1
    assert dataset.images[0].labels.tolist() == [1, 2]


def test_masks_that_do_not_fit_are_named(tmp_path):
    photograph(tmp_path / "images" / "x.png")
    photograph(tmp_path / "images" / "y.png")
    save(tmp_path / "masks" / "z.png", A)
    with pytest.raises(InputError, match=r"z\.png: is a mask of no image"):
        load(tmp_path)
    (tmp_path / "masks" / "z.png").unlink()
    save(tmp_path / "masks" / "x.png", A[:, :-1])
    with pytest.raises(InputError, match=r"x\.png \(object\): its mask has 39 x 30 pixels"):
        load(tmp_path)
    (tmp_path / "masks" / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"x\.png: cannot be read as an image"):
        load(tmp_path)


# Pascal VOC


def test_masks_go_to_the_objects_whose_boxes_they_fill(tmp_path):
    photograph(tmp_path / "JPEGImages" / "x.png")
    (tmp_path / "Annotations").mkdir()
    write_objects(tmp_path, "x", [B > 0, A > 0])  # in another order
    objects = [
        WrittenObject("cat", (3, 4, 10, 12), False, False),
        WrittenObject("dog", (1, 1, 6, 6), False, True),  # has no mask
        WrittenObject("dog", (21, 6, 33, 24), False, False),
    ]
    write_annotation(tmp_path, "x.png", (H, W), objects)
    record = load(tmp_path).images[0]
    assert record.masks[1] is None
    np.testing.assert_array_equal(run_length.to_bitmap(record.masks[0], H, W), A)
    np.testing.assert_array_equal(run_length.to_bitmap(record.masks[2], H, W), B)
    assert load(tmp_path, masks=False).images[0].masks == ()
    write_objects(tmp_path, "x", [np.pad(B, ((0, 0), (0, 1))) > 0])
    with pytest.raises(InputError, match=r"object 3 \(dog\): its mask has 41 x 30 pixels"):
        load(tmp_path)


def test_class_names_that_are_no_utf8_are_named(tmp_path):
    write_objects(tmp_path, "x", [A > 0])
    (tmp_path / "class_names.txt").write_bytes(b"_background_\nl\xe4rm\n")
    with pytest.raises(InputError, match=r"class_names\.txt: cannot be read as UTF-8"):
        load(tmp_path)


def iou(a, b):
    return np.sum((a > 0) & (b > 0)) / np.sum((a > 0) | (b > 0))


def test_the_three_forms_of_the_same_photographs_agree(tmp_path):
    folder = shared_data("labelme_example")
    shutil.copytree(folder / "voc", tmp_path / "voc")
    for path in (folder / "labelme").glob("*.jpg"):
        (tmp_path / "voc" / "JPEGImages").mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / "voc" / "JPEGImages" / path.name)
        (tmp_path / "coco" / "JPEGImages").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, tmp_path / "coco" / "JPEGImages" / path.name)
    shutil.copyfile(folder / "coco" / "annotations.json", tmp_path / "coco" / "annotations.json")
    forms = [load(p) for p in (folder / "labelme", tmp_path / "coco", tmp_path / "voc")]
    for dataset in forms:
        assert sum(len(r.masks) for r in dataset.images) == 12
    by_name = [{r.filename.rpartition("/")[2]: (r, d) for r in d.images} for d in forms]
    for name in by_name[0]:
        (own, a), (coco_record, b), (voc, c) = (found[name] for found in by_name)
        masks = [
            sorted(
                (
                    (dataset.class_names[k - 1], m)
                    for k, m in zip(r.labels, bitmaps(r), strict=True)
                ),
                key=lambda pair: (pair[0], pair[1].sum()),
            )
            for r, dataset in ((own, a), (coco_record, b), (voc, c))
        ]
        for (k, mine), (l, theirs) in zip(masks[0], masks[1], strict=True):  # noqa: E741
            assert k == l and (mine == theirs).all()
        for k, mine in masks[0]:
            assert max(iou(mine, other) for l, other in masks[2] if k == l) >= 0.93  # noqa: E741


def test_the_shapes_have_exact_masks(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path))
    dataset = load(shapes.generate(trainval=5, test=1), "trainval")
    for i, record in enumerate(dataset.images):
        _, drawn = draw_picture(np.random.default_rng([0, 0, i]))
        taken = np.zeros(drawn[0].coverage.shape, bool)  # a pixel of two halves is the later one's
        for shape_, found in reversed(list(zip(drawn, bitmaps(record), strict=True))):
            np.testing.assert_array_equal(found, (shape_.coverage >= 0.5) & ~taken)
            taken |= shape_.coverage >= 0.5
