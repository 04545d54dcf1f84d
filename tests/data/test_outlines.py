"""Masks in LabelMe's and VIA's files: what is read, and what is refused by name."""

import base64
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from keras_frcnn import run_length
from keras_frcnn.data.load import load, open_source
from keras_frcnn.errors import InputError
from tests.data.mask_files import SQUARE, H, W, bitmaps, filled, photograph, write_json
from tests.shared_data import shared_data

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
