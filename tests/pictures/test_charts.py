"""Charts, against the numbers they stand for."""

import warnings

import matplotlib
import numpy as np
import pytest
from PIL import ImageColor

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.pictures.charts import (
    COLORS,
    PANEL,
    SHADE,
    SIZE,
    WIDE,
    bar_chart,
    draw_groups,
    draw_precision_recall,
    draw_recall,
    line_chart,
)
from keras_frcnn.proposals.recall import RankedRecall

NAN = float("nan")


def where(image, color):
    """Rows and columns of the pixels of a colour."""
    color = ImageColor.getrgb(color)
    return np.nonzero(np.abs(np.asarray(image).astype(int) - color).sum(axis=2) < 12)


def axes_of(image):
    """The pixels inside the axes of a picture with one panel, whose lines are its darkest."""
    dark = np.asarray(image).astype(int).sum(axis=2) < 200
    left, bottom = dark.sum(axis=0).argmax(), dark.sum(axis=1).argmax()
    top = np.flatnonzero(dark[:, left]).min()
    right = np.flatnonzero(dark[bottom]).max()
    return np.asarray(image)[top:bottom, left + 1 : right]


def axes_of_panels(image):
    """The same for panels side by side on one bottom line."""
    dark = np.asarray(image).astype(int).sum(axis=2) < 200
    bottom = dark.sum(axis=1).argmax()
    tall = np.flatnonzero(dark[:bottom].sum(axis=0) > bottom / 2)
    lefts = tall[np.diff(tall, prepend=-9) > 1]
    ends = [x + np.flatnonzero(~dark[bottom, x:]).min() for x in lefts]
    top = max(np.flatnonzero(~dark[:bottom, x]).max() for x in lefts) + 1
    pixels = np.asarray(image)
    return [pixels[top:bottom, a + 1 : b] for a, b in zip(lefts, ends, strict=True)]


def test_bars_are_as_long_as_their_values():
    image = bar_chart("title", "mAP", {"one": 0.1, "two": 0.4, "none": NAN, "four": 0.25})
    assert image.width == SIZE[0]
    rows, columns = where(image, COLORS[0])
    lengths = {int(r): np.ptp(columns[rows == r]) for r in set(rows.tolist())}
    groups = np.split(sorted(lengths), np.flatnonzero(np.diff(sorted(lengths)) > 3) + 1)
    found = np.array([lengths[int(np.median(group))] for group in groups])
    assert len(found) == 3  # NaN has no bar
    assert found / found[1] == pytest.approx(np.array([0.25, 1, 0.625]), abs=0.02)


def test_points_are_where_their_values_are():
    image = line_chart("title", "x", [0, 50, 100], {"a": [0.0, 1.0, 0.5]})
    assert image.size == SIZE
    rows, columns = where(image, COLORS[0])
    drawn = rows > 40  # below the legend
    rows, columns = rows[drawn], columns[drawn]
    left, right = columns.min() + 4, columns.max() - 4
    top, bottom = rows.min() + 4, rows.max() - 4
    assert np.mean(columns[rows == rows.min()]) == pytest.approx((left + right) / 2, abs=2)
    assert np.mean(columns[rows == rows.max()]) == pytest.approx(left, abs=2)
    assert np.mean(rows[columns == columns.max()]) == pytest.approx((top + bottom) / 2, abs=2)


def test_a_line_has_a_gap_where_nothing_is_known():
    values = [0.5, 0.5, NAN, 0.5, 0.5]
    _, columns = where(line_chart("title", "x", [0, 25, 50, 75, 100], {"a": values}), COLORS[0])
    middle = (columns.min() + columns.max()) / 2
    assert not np.any(np.abs(columns - middle) < 80)


@pytest.mark.parametrize("values", [[0.3, 0.3], [NAN, 0.3], [NAN] * 2, [0, 0]])
def test_charts_of_equal_and_unknown_values(values):
    assert line_chart("title", "x", [1, 2], {"a": values}).size == SIZE
    assert bar_chart("title", "x", dict(zip("ab", values, strict=True))).width == SIZE[0]


def evaluation(found, objects, class_names=("cat",), labels=None):
    """Of `objects` boxes in one image, and detections that are right where `found` is true."""
    boxes = [[20 * i, 0, 20 * i + 10, 10] for i in range(objects)]
    labels = [1] * objects if labels is None else labels
    record = ImageRecord(
        "a", "a", 100, 100,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int32),
        is_difficult=np.zeros(objects, bool),
    )  # fmt: skip
    right = iter(boxes)
    guesses = [next(right) if ok else [0, 60, 10, 70] for ok in found]
    scores = np.linspace(0.9, 0.1, len(found))
    detections = Detections(guesses, scores, [1] * len(found))
    return evaluate([detections], Dataset("d", tuple(class_names), (record,)))


@pytest.mark.parametrize(
    "found, objects",
    [([1, 0, 1, 1, 0], 4), ([1, 1], 2), ([0, 0, 1], 2), ([0, 1, 0, 1, 1, 1], 5), ([], 3)],
)
def test_the_shaded_area_is_the_average_precision(found, objects):
    result = evaluation(found, objects)
    axes = axes_of(draw_precision_recall(result))
    rows, columns = where(axes, SHADE)  # from the bottom up, under the curve's line
    heights = [len(axes) - rows[columns == x].min() for x in set(columns.tolist())]
    share = sum(heights) / (axes.shape[0] * axes.shape[1])
    assert share == pytest.approx(result.ap[0], abs=0.03)


def test_a_panel_for_each_class_with_objects():
    names = ("cat", "dog", "no objects", "a class with an exceedingly long name, longer than that")
    result = evaluation([1, 0], 3, names, labels=[1, 2, 4])
    assert draw_precision_recall(result, columns=2).size == (2 * PANEL, 2 * PANEL)
    assert draw_precision_recall(result).size == (3 * PANEL, PANEL)


def test_no_class_with_objects():
    assert draw_precision_recall(evaluation([0], 0)).size == (PANEL, PANEL)


@pytest.mark.parametrize("name", ["$", "$5$", r"$\frac{$", "_", "", "猫" * 40, "žluťoučký\nkůň"])
def test_any_name_is_drawn_as_it_is(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_precision_recall(evaluation([1], 2, [name]))
        bar_chart(name, name, {name: 0.5})
        line_chart(name, name, [1, 2], {"a": [0.5, 1]})


def test_the_users_settings_have_no_part_in_it_and_stay():
    expected = np.asarray(bar_chart("title", "mAP", {"one": 0.1}))
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        np.testing.assert_array_equal(bar_chart("title", "mAP", {"one": 0.1}), expected)
        assert dict(matplotlib.rcParams) == before


def ranked(overlaps, counts):
    """What the first n proposals find: IoUs of the objects by n."""
    overlaps = np.array(overlaps, np.float64)
    objects = np.ones(len(overlaps), int), np.ones(len(overlaps))
    return RankedRecall(tuple(counts), np.array(counts, np.float64), overlaps, *objects)


def test_recall_is_drawn_over_number_and_iou():
    counts = (10, 100, 300, 1000)
    # Of four objects 1, 2, 3 and 4 are found with an IoU of 0.75.
    found = ranked([[0.75 * (n > i) for n in range(1, 5)] for i in range(4)], counts)
    image = draw_recall("title", {"a": found})
    assert image.width == WIDE[0] and image.height > WIDE[1]
    axes = axes_of_panels(image)
    assert len(axes) == 3
    for panel, expected in zip(axes, ([0.25, 0.5, 0.75, 1],) * 2, strict=False):
        height, width = panel.shape[:2]
        rows, columns = where(panel, COLORS[0])
        for n, recall in zip(counts, expected, strict=True):
            x = np.log(n / 10) / np.log(100) * (width - 1)
            y = np.mean(rows[np.abs(columns - x) <= 2])
            assert 1 - y / (height - 1) == pytest.approx(recall, abs=0.03)
    rows, columns = where(axes[2], COLORS[0])  # 3 of 4 up to 0.75, then none
    height, width = axes[2].shape[:2]
    left = rows[columns < 0.4 * width]
    assert 1 - left.mean() / height == pytest.approx(0.75, abs=0.02)
    assert (rows[columns > 0.6 * width] > 0.98 * height).all()


def test_many_sources_with_any_names():
    found = ranked([[0.6, 0.8]], (10, 300))
    names = [f"$source$ {i} " + "x" * (i * i) for i in range(15)]
    image = draw_recall("title", dict.fromkeys(names, found))
    assert image.width == WIDE[0]
    assert draw_recall("title", {"none": ranked(np.zeros((0, 2)), (10, 300))}).width == WIDE[0]


def test_bars_of_groups_are_as_high_as_their_values():
    picture = draw_groups("t", ["a", "b"], {"one": [1.0, 0.5], "two": [0.25, NAN]})
    inside = axes_of(picture)

    def heights(color):
        columns = where(inside, color)[1]
        counts = np.bincount(columns, minlength=inside.shape[1])
        starts = np.flatnonzero(np.diff((counts > 5).astype(int), prepend=0) == 1)
        return [np.median(counts[at : at + 40]) / len(inside) for at in starts]

    assert heights(COLORS[0]) == pytest.approx([1, 0.5], abs=0.03)
    assert heights(COLORS[1]) == pytest.approx([0.25], abs=0.03)
