"""The pipeline of region proposals and of joint training, beside that of Fast R-CNN."""

import numpy as np
import pytest

from keras_frcnn.batches.anchor_pipeline import anchor_dataset
from keras_frcnn.batches.pipeline import batches_for, training_dataset
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.models.anchors import anchor_boxes
from keras_frcnn.models.rpn import ProposalOptions
from tests.batches.test_pipeline import BOXES, MEANS, SIZES, settings_of
from tests.images import OBJECT, colored_rectangles, random_proposals

OPTIONS = ProposalOptions(scales=(2, 4, 6))
OF_ONE_EXAMPLE = ("image_sizes", "box_scales", "anchors", "seed")


@pytest.fixture
def rectangles(tmp_path):
    return colored_rectangles(tmp_path, SIZES, BOXES)


def batches(dataset, count, start=0, options=OPTIONS, **kwargs):
    settings = settings_of(**{"detector": "faster_rcnn", **kwargs})
    made = anchor_dataset(dataset, MEANS, options, settings, start)
    return list(made.take(count).as_numpy_iterator())


def examples(made):
    """Each example of mini-batches by itself, without what pads it to the batch's size."""
    for x, y in made:
        for i, (height, width) in enumerate(x["image_sizes"]):
            count = (x["gt_classes"][i] > 0).sum()
            assert not x["gt_classes"][i, count:].any() and not x["gt_boxes"][i, count:].any()
            assert not x["images"][i, height:].any() and not x["images"][i, :, width:].any()
            example = {name: x[name][i] for name in OF_ONE_EXAMPLE}
            example["images"] = x["images"][i, :height, :width]
            example |= {name: x[name][i, :count] for name in ("gt_boxes", "gt_classes")}
            yield example | {f"true {name}": value[i] for name, value in y.items()}


def assert_equal(a, b):
    assert a.keys() == b.keys() and len(a) == 11
    for name, value in a.items():
        assert value.dtype == b[name].dtype
        np.testing.assert_array_equal(value, b[name], name)


def test_batches_have_the_documented_form(rectangles):
    for x, y in batches(rectangles, 2, images_per_batch=3):
        expected = {
            "images": (x["images"].shape, np.float32),
            "image_sizes": ((3, 2), np.int32),
            "box_scales": ((3, 2), np.float32),
            "anchors": ((3, 256, 3), np.int32),
            "gt_boxes": ((3, 1, 4), np.float32),
            "gt_classes": ((3, 1), np.int32),
            "seed": ((3, 2), np.int32),
        }
        assert {k: (v.shape, v.dtype) for k, v in x.items()} == expected
        assert x["images"].shape[1:3] == tuple(x["image_sizes"].max(axis=0))
        assert y["rpn_cls_score"].shape == (3, 256) and y["rpn_cls_score"].dtype == np.int32
        assert y["rpn_bbox_pred"].shape == (3, 256, 5)
        np.testing.assert_array_equal(y["rpn_bbox_pred"][..., 0], y["rpn_cls_score"])
        assert y["cls_score"].shape == y["bbox_pred"].shape == (3, 1)
        assert set(np.unique(y["rpn_cls_score"])) <= {-1, 0, 1}


def test_region_proposals_alone_get_a_part_of_it(rectangles):
    class Model:
        options = OPTIONS

    settings = settings_of(detector="rpn", seed=3, anchors_per_image=40)
    x, y = next(iter(batches_for(Model, ImageSet(rectangles), MEANS, settings, 1)))
    ((joint_x, joint_y),) = batches(rectangles, 1, 1, seed=3, anchors_per_image=40)
    assert set(x) == {"images", "anchors"} and set(y) == {"rpn_cls_score", "rpn_bbox_pred"}
    assert x["anchors"].shape == (2, 40, 3)
    for part, whole in ((x, joint_x), (y, joint_y)):
        for name, value in part.items():
            np.testing.assert_array_equal(value, whole[name])


def test_example_is_a_function_of_seed_and_number(rectangles):
    """In a batch of two, of three or alone, and where a run begins: bit for bit."""
    kwargs = {"seed": 5, "min_side": (100, 120, 150)}
    whole = list(examples(batches(rectangles, 6, **kwargs)))
    others = {
        3: batches(rectangles, 3, images_per_batch=3, start=1, **kwargs),
        7: batches(rectangles, 5, images_per_batch=1, start=7, **kwargs),
    }
    for first, made in others.items():
        for a, b in zip(whole[first:], examples(made), strict=True):
            assert_equal(a, b)
    # Every example draws other anchors, and other RoIs by its seed.
    assert len({tuple(e["seed"]) for e in whole}) == 12
    assert len({e["anchors"].tobytes() for e in whole}) == 12
    other = list(examples(batches(rectangles, 2, **kwargs | {"seed": 6})))
    for name in ("seed", "anchors"):
        assert all((a[name] != b[name]).any() for a, b in zip(whole[:4], other, strict=True))


@pytest.mark.parametrize("group_by_aspect", [False, True])
def test_images_are_those_of_fast_rcnn(rectangles, group_by_aspect):
    """Order, scales and mirror images."""
    kwargs = {"seed": 2, "min_side": (100, 130), "group_by_aspect": group_by_aspect}
    images = ImageSet(rectangles, random_proposals(rectangles))
    fast = training_dataset(images, MEANS, settings_of(**kwargs), 1)
    shapes = set()
    for (x, _), (joint_x, _) in zip(
        fast.take(6).as_numpy_iterator(), batches(rectangles, 6, 1, **kwargs), strict=True
    ):
        np.testing.assert_array_equal(joint_x["images"], x["images"])
        shapes.add(x["images"].shape)
    assert len(shapes) > 1


def test_objects_and_targets_follow_the_pixels_through_scaling_and_flips(rectangles):
    """Objects, and what targets make of positive anchors, enclose exactly the coloured pixels."""
    color = np.array(OBJECT[::-1], np.float32) - MEANS
    mirrored = set()
    for example in examples(batches(rectangles, 12)):
        ys, xs = np.nonzero(np.abs(example["images"] - color).max(axis=-1) < 60)
        drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        np.testing.assert_allclose(example["gt_boxes"][0], drawn, atol=1.5)
        positive = example["true rpn_cls_score"] == 1
        assert positive.any() and (example["true rpn_cls_score"] == 0).any()
        anchors = anchor_boxes(example["anchors"][positive], OPTIONS.base(), 16).numpy()
        rows = example["true rpn_bbox_pred"][positive]
        size = anchors[:, 2:] - anchors[:, :2]
        center = anchors[:, :2] + size / 2 + rows[:, 1:3] * size
        half = size * np.exp(rows[:, 3:]) / 2
        found = np.hstack([center - half, center + half])
        gt_box = np.broadcast_to(example["gt_boxes"][0], found.shape)
        np.testing.assert_allclose(found, gt_box, atol=1e-3)
        mirrored.add(tuple(np.round(drawn).astype(int)))
    assert len(mirrored) == 8  # four usable images, every one as it is and mirrored


def test_scales_are_those_of_each_axis(rectangles):
    for example in examples(batches(rectangles, 4, min_side=101)):
        height, width = example["image_sizes"]
        originals = [(width / w, height / h) for h, w in SIZES]
        distance = np.abs(np.array(originals) - example["box_scales"]).max(axis=1)
        assert distance.min() < 1e-6
        assert 101 in (height, width) or 200 in (height, width)


def test_an_image_with_few_anchors_inside_gives_a_short_sample(tmp_path):
    """Of 64 x 64 pixels, with squares of 32: four are inside, two of IoU 1/3 with the object."""
    dataset = colored_rectangles(tmp_path, [(64, 64)], [[(8, 8, 40, 40)]])
    options = ProposalOptions(scales=(2,), ratios=(1,))
    ((x, y),) = batches(dataset, 1, options=options, min_side=64, images_per_batch=1)
    index, rows = x["anchors"][0], y["rpn_bbox_pred"][0]
    assert y["rpn_cls_score"][0].tolist() == [1, 0] + [-1] * 254
    is_mirrored = x["gt_boxes"][0, 0, 0] == 24
    assert index[:2].tolist() == ([[1, 2, 0], [2, 1, 0]] if is_mirrored else [[1, 1, 0], [2, 2, 0]])
    assert not index[2:].any() and not rows[:, 1:].any()


def test_difficult_objects_are_not_there_and_images_of_them_alone_neither(tmp_path):
    dataset = colored_rectangles(
        tmp_path,
        [(80, 80), (60, 50), (70, 60)],
        [[(0, 0, 30, 30), (45, 45, 80, 80)], [(5, 5, 30, 30)], []],
        difficult=[[False, True], [True], []],
        labels=[[1, 2], [1], []],
    )
    for x, _ in batches(dataset, 3, min_side=80):
        assert x["images"].shape == (2, 80, 80, 3)
        np.testing.assert_array_equal(x["gt_classes"], [[1], [1]])


def test_nothing_usable_is_an_error_that_names_the_data_set(tmp_path):
    dataset = colored_rectangles(tmp_path, [(50, 50)], [[]])
    with pytest.raises(InputError, match="rectangles"):
        batches(dataset, 1)


def test_batches_are_not_autotuned(rectangles):
    made = anchor_dataset(rectangles, MEANS, OPTIONS, settings_of(detector="rpn"))
    assert made.options().autotune.enabled is False
