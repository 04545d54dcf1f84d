"""What is refused before a training, and with which advice."""

import re

import numpy as np
import pytest

from keras_frcnn.batches.anchor_check import check_anchors, describe, format_scales
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import base_anchors
from keras_frcnn.settings import parse_value


def dataset_of(sizes, boxes):
    """Images of these sizes, without files, each with its list of boxes."""
    return Dataset(
        "photos:train",
        ("one",),
        tuple(
            ImageRecord(
                f"{i}.jpg", f"{i}.jpg", height, width,
                boxes=np.array(of_one, np.float32),
                labels=np.ones(len(of_one), np.int32),
                is_difficult=np.zeros(len(of_one), bool),
            )
            for i, ((height, width), of_one) in enumerate(zip(sizes, boxes, strict=True))
        ),
    )  # fmt: skip


def varied(count, size, largest):
    """So many images with five boxes each, of all shapes, the larger side up to `largest`."""
    rng = np.random.default_rng(0)
    boxes = []
    for _ in range(count):
        sides = np.exp(rng.uniform(np.log(16), np.log(largest), (5, 1)))
        sides = sides * 2.0 ** (rng.uniform(-0.6, 0.6, (5, 1)) * [1, -1])
        corner = rng.uniform(0, 1, (5, 2)) * (np.array(size[::-1]) - sides)
        boxes.append(np.hstack([corner, corner + sides]))
    return dataset_of([size] * count, boxes)


def advised(message):
    """The scales and ratios that the message ends with."""
    scales = re.findall(r"--anchor-scales ([\d.,]+)", message)[-1]
    ratios = re.search(r"--anchor-ratios ([\d.,]+)", message)
    return {
        "scales": parse_value("anchor_scales", scales),
        **({"ratios": parse_value("anchor_ratios", ratios[1])} if ratios else {}),
    }


def test_anchors_that_all_learn_are_silent():
    assert check_anchors(varied(60, (600, 800), 400), (4, 8, 16)) == []


def test_an_idle_anchor_is_refused_and_the_advice_can_be_followed():
    dataset = varied(60, (600, 800), 400)
    with pytest.raises(InputError) as error:
        check_anchors(dataset)  # 352 x 704 fits no landscape
    message = str(error.value)
    assert message.startswith(
        "--anchor-scales 8,16,32: 1 of 9 anchors have no object to learn from in photos:train "
        "(352 x 704) and would be scored untrained; with --anchor-scales "
    )
    assert "\n" not in message
    assert len(advised(message)["scales"]) == 3
    assert check_anchors(dataset, **advised(message)) == []


def test_anchors_for_another_image_size_are_refused():
    dataset = varied(60, (240, 320), 150)
    with pytest.raises(InputError, match=r"6 of 9 anchors .*(736 x 384, .*352 x 704)") as error:
        check_anchors(dataset, min_side=(240,), max_side=400)
    check_anchors(dataset, **advised(str(error.value)), min_side=(240,), max_side=400)


def test_fewer_scales_are_advised_where_objects_are_of_one_size():
    boxes = [[(40 * i, 10, 40 * i + 40, 50)] for i in range(10)]
    dataset = dataset_of([(200, 400)] * 10, boxes)
    keywords = {"ratios": (1,), "min_side": (200,), "max_side": 400}
    with pytest.raises(InputError, match="128 x 128") as error:
        check_anchors(dataset, (2, 4, 8), **keywords)
    found = advised(str(error.value))
    assert len(found["scales"]) < 3
    check_anchors(dataset, **{**keywords, **found})


def test_fewer_ratios_are_advised_where_objects_are_of_one_shape():
    boxes = [[(136, 136, 264, 264)]]  # a square on an anchor's place
    dataset = dataset_of([(400, 400)], boxes)
    keywords = {"min_side": (400,), "max_side": 400}
    with pytest.raises(InputError) as error:
        check_anchors(dataset, (8,), **keywords)
    assert advised(str(error.value)) == {"scales": (8.0,), "ratios": (1.0,)}
    (warning,) = check_anchors(dataset, (8,), (1,), **keywords)
    assert warning.startswith("photos:train: anchors with fewer than 10 positives in all images: ")


def test_images_without_room_are_named():
    dataset = varied(30, (600, 800), 400)
    strips = dataset_of([(50, 800)] * 5, [[(0, 0, 40, 40)]] * 5)
    (warning,) = check_anchors(
        Dataset(dataset.name, dataset.class_names, dataset.images + strips.images), (6, 12), (1,)
    )
    assert warning == (
        "photos:train: 5 of 30 images are too small for any anchor and teach the proposals "
        "nothing: 0.jpg, 1.jpg, 2.jpg, ..."
    )


def test_images_too_small_for_any_anchor_at_all():
    dataset = dataset_of([(10, 10)], [[(0, 0, 5, 5)]])
    with pytest.raises(InputError, match="--min-side: the images of photos:train have no room"):
        check_anchors(dataset, min_side=(5,), max_side=5)


def test_objects_too_small_for_any_anchor():
    """A pixel in the corner of an image, where only smaller anchors than there are would stand."""
    dataset = dataset_of([(40, 40)], [[(39, 39, 40, 40)]])
    with pytest.raises(InputError, match="scale the images to a larger --min-side"):
        check_anchors(dataset, (1, 2), min_side=(40,), max_side=40)


def test_anchors_and_scales_as_text():
    assert describe(base_anchors(), [0, 8]) == "184 x 96, 352 x 704"
    assert format_scales((8.0, 6.4, 0.5)) == "8,6.4,0.5"
