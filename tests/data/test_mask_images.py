"""Masks that are images, Pascal VOC's and generated ones among them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from keras_frcnn import run_length
from keras_frcnn.data import shapes
from keras_frcnn.data.load import load
from keras_frcnn.data.shapes_drawing import draw_picture
from keras_frcnn.data.voc_masks import write_objects
from keras_frcnn.data.voc_writer import WrittenObject, write_annotation
from keras_frcnn.errors import InputError
from tests.data.mask_files import H, W, bitmaps, filled, photograph
from tests.shared_data import shared_data

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
