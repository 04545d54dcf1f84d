import functools
import itertools
import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.batches.anchor_pipeline import anchor_dataset
from keras_frcnn.batches.examples import Share, batch_records
from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.preprocessing import box_scale, scale_image, scaled_size
from keras_frcnn.errors import InputError
from keras_frcnn.proposals import packed
from keras_frcnn.runs.directory import options_of
from keras_frcnn.settings import Settings
from tests.images import OBJECT, colored_rectangles, random_proposals

MEANS = (103.939, 116.779, 123.68)
SIZES = [(60, 90), (100, 50), (64, 64), (80, 70), (50, 100)]
BOXES = [[(10, 20, 50, 55)], [(5, 30, 40, 90)], [(8, 8, 40, 60)], [(1, 1, 60, 40)], []]


@pytest.fixture
def rectangles(tmp_path):
    return colored_rectangles(tmp_path, SIZES, BOXES)


def settings_of(min_side=120, **kwargs):
    sides = (min_side,) if isinstance(min_side, int) else min_side
    return Settings(**{"min_side": sides, "max_side": 200, **kwargs})


def batches(dataset, count, start=0, **kwargs):
    images = ImageSet(dataset, random_proposals(dataset))
    made = training_dataset(images, MEANS, settings_of(**kwargs), start)
    return [
        ({k: v.numpy() for k, v in x.items()}, {k: v.numpy() for k, v in y.items()})
        for x, y in made.take(count)
    ]


@pytest.mark.parametrize(
    "size, expected",
    [
        ((375, 500), (600, 800)),  # the shorter side becomes 600
        ((333, 500), (600, 901)),
        ((200, 500), (400, 1000)),  # limited by the longer side
        ((1200, 1200), (600, 600)),
        ((1, 4000), (1, 1000)),  # no side vanishes
    ],
)
def test_scaled_size(size, expected):
    assert tuple(scaled_size(np.array(size), 600, 1000).numpy()) == expected


def test_scale_image_equals_opencv():
    image = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    expected = cv2.resize(
        image[..., ::-1].astype(np.float32), (102, 70), interpolation=cv2.INTER_LINEAR
    ) - np.array(MEANS, np.float32)
    np.testing.assert_allclose(scale_image(image, (70, 102), MEANS), expected, atol=2e-3)


def test_box_scale_takes_corners_to_corners():
    scale = box_scale(np.array([333, 500]), np.array([600, 901])).numpy()
    np.testing.assert_allclose(np.array([0, 0, 500, 333]) * scale, [0, 0, 901, 600], rtol=1e-6)


def test_batches_are_not_autotuned(rectangles):
    # The end of a `fit` would wait for the tuning thread, which may sleep.
    images = ImageSet(rectangles, random_proposals(rectangles))
    assert training_dataset(images, MEANS, settings_of()).options().autotune.enabled is False


def test_batches_have_the_documented_form(rectangles):
    for x, y in batches(rectangles, 3):
        n, h, w, _ = x["images"].shape
        assert n == 2 and x["images"].dtype == np.float32
        assert 120 <= h <= 200 and 120 <= w <= 200
        assert x["rois"].shape == (2, 64, 4) and x["rois"].dtype == np.float32
        assert y["cls_score"].shape == (2, 64) and y["bbox_pred"].shape == (2, 64, 5)
        np.testing.assert_array_equal(y["bbox_pred"][..., 0], y["cls_score"])
        assert set(np.unique(y["cls_score"])) <= {-1, 0, 1}


def test_boxes_follow_the_pixels_through_scaling_and_flips(rectangles):
    """Decoded targets of every foreground RoI must enclose exactly the coloured pixels."""
    color = np.array(OBJECT[::-1], np.float32) - MEANS
    mirrored = set()
    for x, y in batches(rectangles, 12):
        for image, rois, rows in zip(x["images"], x["rois"], y["bbox_pred"], strict=True):
            ys, xs = np.nonzero(np.abs(image - color).max(axis=-1) < 60)
            drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            fg = rows[:, 0] > 0
            assert fg.any()
            size = rois[fg, 2:] - rois[fg, :2]
            center = rois[fg, :2] + size / 2 + rows[fg, 1:3] * size
            half = size * np.exp(rows[fg, 3:]) / 2
            found = np.hstack([center - half, center + half])
            np.testing.assert_allclose(found, np.broadcast_to(drawn, found.shape), atol=1.5)
            mirrored.add(tuple(np.round(drawn).astype(int)))
    # Four usable images, every one seen as it is and mirrored.
    assert len(mirrored) == 8


def test_padding_is_zero_and_lies_right_and_below(rectangles):
    padded = 0
    for x, _ in batches(rectangles, 6):
        for image in x["images"]:
            real = np.abs(image).max(axis=-1) > 0
            h, w = real.any(axis=1).sum(), real.any(axis=0).sum()
            assert real[:h, :w].all() and not real[h:].any() and not real[:, w:].any()
            padded += real.size > h * w
    assert padded


def test_example_is_a_function_of_seed_and_number(rectangles):
    whole = batches(rectangles, 7, seed=5)
    resumed = batches(rectangles, 3, seed=5, start=4)
    for (xa, ya), (xb, yb) in zip(whole[4:], resumed, strict=True):
        for a, b in itertools.chain(
            zip(xa.values(), xb.values(), strict=True), zip(ya.values(), yb.values(), strict=True)
        ):
            np.testing.assert_array_equal(a, b)
    other = batches(rectangles, 7, seed=6)
    assert any(
        a[0]["rois"].shape != b[0]["rois"].shape or (a[0]["rois"] != b[0]["rois"]).any()
        for a, b in zip(whole, other, strict=True)
    )


def test_every_pass_shows_every_usable_image_once_in_a_new_order(tmp_path):
    sizes = [(32 + 4 * i, 60) for i in range(8)]
    dataset = colored_rectangles(tmp_path, sizes, [[(5, 5, 30, 30)]] * 8)
    images = ImageSet(dataset, random_proposals(dataset))
    settings = settings_of(60, max_side=1000, images_per_batch=1)
    made = training_dataset(images, MEANS, settings)
    widths = [x["images"].shape[2] for x, _ in made.take(24).as_numpy_iterator()]
    passes = [widths[i : i + 8] for i in (0, 8, 16)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert len(set(passes[0])) == 8
    assert passes[0] != passes[1] or passes[1] != passes[2]


def test_images_without_usable_objects_are_left_out(tmp_path):
    dataset = colored_rectangles(
        tmp_path,
        [(50, 50), (60, 50), (70, 50)],
        [[(5, 5, 30, 30)], [], [(5, 5, 30, 30)]],
        difficult=[[False], [], [True]],
    )
    for x, y in batches(dataset, 4, min_side=50):
        assert x["images"].shape == (2, 50, 50, 3)
        assert (y["cls_score"] == 1).any()


def test_difficult_objects_are_neither_drawn_nor_targets(tmp_path):
    dataset = colored_rectangles(
        tmp_path,
        [(80, 80)],
        [[(0, 0, 30, 30), (45, 45, 80, 80)]],
        difficult=[[False, True]],
        labels=[[1, 2]],
    )
    for _, y in batches(dataset, 4):
        assert 2 not in y["cls_score"]


def test_nothing_usable_is_an_error_that_names_the_data_set(tmp_path):
    dataset = colored_rectangles(tmp_path, [(50, 50)], [[]])
    with pytest.raises(InputError, match="rectangles"):
        batches(dataset, 1)


def test_images_without_proposals_train_on_their_objects(rectangles):
    none = [np.zeros((0, 4), np.float32)] * len(rectangles.images)
    made = training_dataset(ImageSet(rectangles, none), MEANS, settings_of())
    _, y = next(iter(made))
    assert ((y["cls_score"].numpy() == 1).sum(axis=1) == 1).all()


def test_multi_scale_draws_among_the_sides(tmp_path):
    dataset = colored_rectangles(tmp_path, [(50, 50)], [[(5, 5, 30, 30)]])
    made = batches(dataset, 20, min_side=(60, 80), images_per_batch=1)
    assert {x["images"].shape[1] for x, _ in made} == {60, 80}


def test_batches_of_one_orientation(tmp_path):
    """What is grouped is less padded, and resumes at any batch."""
    sizes = [(60, 90), (90, 60), (60, 80), (80, 60), (60, 100), (60, 96)]
    dataset = colored_rectangles(tmp_path, sizes, [[(5, 5, 30, 30)]] * 6)
    kwargs = {"min_side": 60, "seed": 3, "group_by_aspect": True}
    grouped = batches(dataset, 6, **kwargs)
    for x, _ in grouped:
        height, width = x["images"].shape[1:3]
        assert min(height, width) == 60
    for number, (x, _) in enumerate(grouped):
        records = batch_records(dataset, number, settings_of(**kwargs))
        size = max(r.height for r in records), max(r.width for r in records)
        assert x["images"].shape[1:3] == size
    for (xa, _), (xb, _) in zip(grouped[2:], batches(dataset, 4, start=2, **kwargs), strict=True):
        np.testing.assert_array_equal(xa["rois"], xb["rois"])
        np.testing.assert_array_equal(xa["images"], xb["images"])
    mixed = [x["images"].shape[1:3] for x, _ in batches(dataset, 6, min_side=60, seed=3)]
    assert max(min(size) for size in mixed) > 60


def test_proposals_in_a_file_give_the_same_bits(rectangles, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "LARGE", 1)
    proposals = random_proposals(rectangles)
    lying = packed.kept("d", len(proposals), lambda: iter(proposals))
    assert isinstance(lying, packed.PackedProposals)

    def made(boxes):
        images = ImageSet(rectangles, boxes)
        return list(training_dataset(images, MEANS, settings_of()).take(5).as_numpy_iterator())

    for (x, y), (x2, y2) in zip(made(proposals), made(lying), strict=True):
        for a, b in ((x, x2), (y, y2)):
            assert all(np.array_equal(a[name], b[name]) for name in a)


SHARED = {"images_per_batch": 4, "min_side": (100, 120), "group_by_aspect": True}


def shares(pipeline, count, batches=6, start=2):
    """The mini-batches of each of `count` workers."""
    return [
        list(pipeline(start=start, share=Share(i, count)).take(batches).as_numpy_iterator())
        for i in range(count)
    ]


@pytest.mark.parametrize("detector", ["fast_rcnn", "faster_rcnn"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_shares_of_workers_are_the_whole_mini_batch(rectangles, detector, count):
    settings = settings_of(**SHARED, detector=detector, anchor_scales=(2, 4))
    if detector == "fast_rcnn":
        images = ImageSet(rectangles, random_proposals(rectangles))
        pipeline = functools.partial(training_dataset, images, MEANS, settings)
    else:
        options = options_of(settings)
        pipeline = functools.partial(anchor_dataset, rectangles, MEANS, options, settings)
    whole = list(pipeline(start=2).take(6).as_numpy_iterator())
    for n, parts in enumerate(zip(*shares(pipeline, count), strict=True)):
        for side in (0, 1):
            for name, expected in whole[n][side].items():
                arrays = [part[side][name] for part in parts]
                if name.startswith("gt_"):  # as many as the share's images have, then zeros
                    missing = [expected.shape[1] - a.shape[1] for a in arrays]
                    rest = [(0, 0)] * (expected.ndim - 2)
                    arrays = [
                        np.pad(a, [(0, 0), (0, m), *rest])
                        for a, m in zip(arrays, missing, strict=True)
                    ]
                np.testing.assert_array_equal(np.concatenate(arrays), expected, name)


def test_a_worker_reads_the_images_of_its_share_alone(rectangles):
    settings = settings_of(**SHARED)
    records = batch_records(rectangles, 0, settings)
    own, others = ({r.path for r in part} for part in (records[2:], records[:2]))
    assert others - own
    for path in others - own:
        os.unlink(path)
    images = ImageSet(rectangles, random_proposals(rectangles))
    batches = training_dataset(images, MEANS, settings, share=Share(1, 2))
    assert next(iter(batches))[0]["images"].shape[0] == 2
    with pytest.raises(tf.errors.NotFoundError):
        next(iter(training_dataset(images, MEANS, settings, share=Share(0, 2))))
