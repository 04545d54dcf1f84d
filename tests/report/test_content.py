"""What a report tells, against numbers worked by hand."""

import csv

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.report.content import report_content
from keras_frcnn.report.svg import line_chart, thinned, ticks
from keras_frcnn.runs.directory import save_settings
from keras_frcnn.settings import Settings
from tests.evaluation.test_coco import NOTHING, record

A, B = [0, 0, 40, 40], [100, 0, 140, 40]


def test_how_bad_an_image_is():
    truth = [record(str(i), [A, B], [1, 1], [False, i == 4]) for i in range(5)]
    data = Dataset("d", ("cat",), tuple(truth))
    detections = [
        NOTHING,  # two missed
        Detections([A, B], [0.9, 0.8], [1, 1]),
        Detections([A, B], [0.9, 0.4], [1, 1]),  # the second found, but unsure
        Detections([A, [0, 0, 40, 39], [200, 0, 240, 40]], [0.9, 0.7, 0.2], [1, 1, 1]),
        Detections([A], [0.9], [1]),  # the other one is difficult
    ]
    found = report_content("r", ImageSet(data), detections)
    np.testing.assert_allclose(found.badness, [2, 0, 1, 0.7 + 1, 0], rtol=1e-6)
    assert found.recall is None and found.settings is None and found.log == {}


def write_log(path, **columns):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *columns])
        writer.writerows(zip(range(1, 9), *columns.values(), strict=False))


def test_logs_of_a_run_and_of_its_steps(tmp_path):
    data = Dataset("d", ("cat",), (record("a", [A], [1]),))
    settings = Settings(data="d", split="", class_names=("cat",))
    for name in ("joint", "four"):
        (tmp_path / name).mkdir()
        save_settings(tmp_path / name, settings)
    write_log(tmp_path / "joint" / "log.csv", loss=[2.5, 1.25], other=["", 3])
    write_log(tmp_path / "joint" / "validation.csv", mAP=[0.5])
    for step in ("1-rpn", "2-fast-rcnn"):
        write_log(tmp_path / "four" / step / "log.csv", loss=[1])
    joint, four = (
        report_content(name, ImageSet(data), [NOTHING], run=tmp_path / name)
        for name in ("joint", "four")
    )
    assert joint.log == {"": [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.25, "other": 3}]}
    assert joint.validation == [{"step": 1, "mAP": 0.5}] and joint.settings == settings
    assert list(four.log) == ["1-rpn", "2-fast-rcnn"] and four.validation == []


def test_recall_of_all_proposals():
    data = Dataset("d", ("cat",), (record("a", [A, B], [1, 1]),))
    found = report_content("r", ImageSet(data, [np.float32([A] * 11 + [B])]), [NOTHING])
    assert found.recall.counts == (10, 12)
    assert found.recall.at([0.5])[:, 0].tolist() == [0.5, 1]


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (100, 6000, [2000, 4000, 6000]),
        (0.5, 1, [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (-3, 3, [-2, 0, 2]),
        (7, 7, [7]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == expected


def test_ticks_of_any_range_are_few_and_inside():
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.normal(0, 10 ** rng.uniform(-3, 5))
        high = low + 10 ** rng.uniform(-3, 6)
        found = ticks(low, high)
        assert 1 <= len(found) <= 7
        slack = 1e-6 * (high - low)
        assert min(found) >= low - slack and max(found) <= high + slack


def test_a_chart_has_its_points_where_they_belong():
    chart = line_chart("<t>", {"<a>": [(0, 0), (1, 1)]}, "x", (0, 1), (0, 1))
    assert 'points="46.0,206.0 400.0,10.0"' in chart
    assert "<t>" not in chart and "&lt;a&gt;" in chart
    gap = line_chart("t", {"": [(0, 0), (1, float("nan")), (2, 1), (3, 1)]}, "x")
    assert gap.count("<circle") == 1 and gap.count("<polyline") == 1
    assert "<polyline" not in line_chart("t", {"": []}, "x")


def test_thinned_lines_keep_their_ends():
    line = [(float(i), float(i)) for i in range(1001)]
    short = thinned(line, 50)
    assert len(short) == 50 and short[0] == line[0] and short[-1] == line[-1]
    assert thinned(line[:50], 50) == line[:50]
