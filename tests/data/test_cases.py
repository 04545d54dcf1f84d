"""Data sets after public reports, which lie beside the repository where there are any."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.data import load
from keras_frcnn.data.images import TRAINING_FORMATS, decode_image, read_header, read_image
from keras_frcnn.errors import InputError

ROOT = Path(__file__).parents[3] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="the cases are not beside the repository")


@pytest.mark.parametrize(
    ("name", "split", "filenames", "class_names"),
    [
        ("base", "test", ["p0.jpg", "p1.jpg"], ("cat", "dog")),
        ("appledouble", None, [f"p{i}.jpg" for i in range(4)], ("cat", "dog")),
        (
            "cvat_nested_nolist",
            None,
            [f"cam{c}/f{i}.jpg" for c in (1, 2) for i in (0, 1)],
            ("cat",),
        ),
        ("perclass", "cat_train", ["p0.jpg", "p2.jpg"], ("cat", "dog")),
        ("list_ext", "train", [f"p{i}.jpg" for i in range(4)], ("cat", "dog")),
        ("list_ext", "paths", [f"p{i}.jpg" for i in range(4)], ("cat", "dog")),
        ("list_ext", "pairs", [f"p{i}.jpg" for i in range(4)], ("cat", "dog")),
        ("jpg_xml", "train", [f"p{i}.jpg" for i in range(4)], ("cat", "dog")),
        ("utf8_decl", "test", ["p0.jpg", "p1.jpg"], ("dog", "vélo")),
        ("newline_class", "test", ["p0.jpg", "p1.jpg"], ("dog", "fire extinguisher")),
        (
            "slash_class",
            "test",
            ["p0.jpg", "p1.jpg"],
            ("Chimney/Ventilation_Pipe", "Roof Window, öffenbar"),
        ),
    ],
)
def test_are_read(name, split, filenames, class_names):
    dataset = load(ROOT / name, split)
    assert [record.filename for record in dataset.images] == filenames
    assert dataset.class_names == class_names and not dataset.warnings
    assert all(len(record.labels) for record in dataset.images)


def test_boxes_lie_on_the_object_of_photographs_whose_exif_was_ignored():
    for record in load(ROOT / "exif_ignored", "train").images:
        x1, y1, x2, y2 = record.boxes[0].astype(int)
        image = read_image(record.path, record.orientation).astype(int)
        red = image[..., 0] - image[..., 1:].max(axis=-1) > 60
        assert red[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].mean() > 0.9, record.filename


def test_exchanged_sizes():
    with pytest.raises(InputError, match=r"4 of 4 .*exchanged in all of them: correct <size>"):
        load(ROOT / "size_swapped", "train")


def test_images_without_objects():
    dataset = load(ROOT / "negatives", "train")
    assert len(dataset.images) == 32 and dataset.trainable() == [0, 1]


def test_a_png_that_tensorflow_refuses_is_named():
    with pytest.raises(InputError, match=r"p1\.png: .* checksum of its chunk IDAT"):
        load(ROOT / "tf_cannot_png_bad_crc_idat", "train")


def test_decoders_agree_on_every_variant_of_a_file():
    paths = sorted((ROOT / "image_variants").iterdir())
    assert len(paths) >= 53
    for path in paths:
        try:
            header, image = read_header(path), read_image(path)
            image = image if header.format in TRAINING_FORMATS else None
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            image = None
        try:
            decoded = decode_image(tf.io.read_file(str(path))).numpy()
        except tf.errors.OpError:
            decoded = None
        if (
            path.name == "gif_named.jpg"
        ):  # TensorFlow's decoder of JPEG reads it, no data set has it
            continue
        assert (image is None) == (decoded is None), path.name
        if image is not None:
            np.testing.assert_array_equal(decoded, image, err_msg=path.name)
