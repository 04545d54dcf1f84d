"""EXIF against annotation, judged over the folder, and sizes that are of another image."""

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data import load
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from tests.data.voc_files import voc_folder, xml, xml_object

WIDTH, HEIGHT = 80, 60
STORED, TURNED = (WIDTH, HEIGHT), (HEIGHT, WIDTH)
BOX = (11, 6, 30, 20)  # of a red object, in the pixels that are annotated


def folder(root, images, splits=None):
    """Images {name: (EXIF orientation, stored size, annotated size)}, with an object each."""
    texts = {name: xml(xml_object(box=BOX), size=size) for name, (_, _, size) in images.items()}
    voc_folder(root, texts, splits)
    for name, (orientation, stored, _) in images.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = np.zeros((stored[1], stored[0], 3), np.uint8)
        pixels[5:20, 10:30] = (255, 0, 0)
        path = root / "JPEGImages" / f"{name}.jpg"
        Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return root


def orientations(dataset):
    return {record.filename[:-4]: record.orientation for record in dataset.images}


AMBIGUOUS = {"half": (3, STORED, STORED), "square": (6, (70, 70), (70, 70))}
AMBIGUOUS |= {"mirrored": (2, STORED, STORED), "unknown": (8, STORED, (0, 0))}
IGNORED, FOLLOWED = (6, STORED, STORED), (6, STORED, TURNED)


@pytest.mark.parametrize(("telling", "expected"), [(IGNORED, 1), (FOLLOWED, None)])
def test_ambiguous_files_are_read_as_those_that_tell(tmp_path, telling, expected):
    root = folder(tmp_path, AMBIGUOUS | {"telling": telling, "plain": (1, STORED, STORED)})
    dataset = load(root)
    for name, orientation in orientations(dataset).items():
        exif = {"telling": 6, "plain": 1} | {n: o for n, (o, _, _) in AMBIGUOUS.items()}
        assert orientation == (expected or exif[name])
    assert not dataset.warnings
    if expected:
        for record in dataset.images:  # the box lies on the red object
            x1, y1, x2, y2 = record.boxes[0].astype(int)
            inside = read_image(record.path, record.orientation)[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert inside[..., 0].min() > 200 and inside[..., 1].max() < 60


def test_the_files_that_tell_may_be_in_another_split(tmp_path):
    splits = {"train": ["half"], "test": ["telling", "plain"]}
    images = {"half": AMBIGUOUS["half"], "telling": IGNORED, "plain": (1, STORED, STORED)}
    dataset = load(folder(tmp_path, images, splits), "train")
    assert orientations(dataset) == {"half": 1} and not dataset.warnings


@pytest.mark.parametrize("others", [{}, {"a": IGNORED, "b": FOLLOWED}])
def test_where_nothing_tells_a_warning_names_them(tmp_path, others):
    dataset = load(folder(tmp_path, AMBIGUOUS | others))
    assert orientations(dataset) == {n: o for n, (o, _, _) in AMBIGUOUS.items()} | (
        {"a": 1, "b": 6} if others else {}
    )
    (line,) = dataset.warnings
    assert "half.jpg: EXIF turns it (orientation 3)" in line
    assert "3 more (mirrored.jpg, square.jpg, unknown.jpg)" in line


def test_images_without_objects_need_no_warning(tmp_path):
    root = folder(tmp_path, {"half": AMBIGUOUS["half"], "plain": (1, STORED, STORED)})
    (root / "Annotations/half.xml").write_text(xml(size=STORED))
    assert load(root).warnings == ()


def test_sizes_of_another_image_are_one_message(tmp_path):
    swapped = {name: (1, STORED, TURNED) for name in "abc"}
    with pytest.raises(InputError) as error:
        load(folder(tmp_path / "all", swapped | {"d": (1, STORED, STORED)}))
    assert str(error.value) == (
        f"{tmp_path}/all/Annotations/a.xml: was made for an image of 60 x 80 pixels, but "
        f"{tmp_path}/all/JPEGImages/a.jpg has 80 x 60; 3 of 4 images have another size than "
        "annotated; width and height are exchanged in all of them: correct <size>, or remove it, "
        "if the boxes are right"
    )
    with pytest.raises(InputError, match=r"2 of 2 .* exchanged in 1 of them: .*restore the image"):
        load(folder(tmp_path / "some", {"a": (1, STORED, TURNED), "b": (1, STORED, (40, 30))}))


def test_a_removed_size_is_believed(tmp_path):
    root = folder(tmp_path, {"a": (1, STORED, (0, 0))})
    (record,) = load(root).images
    np.testing.assert_array_equal(record.boxes, [[10, 5, 30, 20]])
