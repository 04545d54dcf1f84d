"""The tables of the benchmark, of times that are made up."""

import csv

import pytest

from keras_frcnn.benchmarks import detect
from keras_frcnn.benchmarks import detect_steps as names
from keras_frcnn.benchmarks.detect_steps import Calls, Step, our_steps
from keras_frcnn.benchmarks.detect_tables import (
    format_aims,
    format_calls,
    format_programs,
    format_stages,
    scale_up,
)

ALL_OURS = [step for p in names.PRECISIONS for svd in (False, True) for step in our_steps(p, svd)]


def test_scaling_up_a_sample():
    assert scale_up(1.5, 16, 2000) == pytest.approx(187.5)
    assert scale_up(1.5, 16, 16) == 1.5


def made_up_times():
    times = {step: 1.0 for step in ALL_OURS}
    for svd, seconds in ((False, 2.0), (True, 1.0)):
        times[Step(names.NETWORK, "float32", svd=svd)] = seconds
        times[Step(names.DETECT, "float32", svd=svd)] = 1.25 * seconds
    times[Step(names.RCNN, "float32")] = 150.0
    for svd, slower in ((False, 0), (True, 0.5)):  # what else runs differs a little
        times[Step(names.NETWORK, "float32", names.ONNX_RUNTIME, svd)] = 5.0 + slower
        times[Step(names.NETWORK, "float32", names.OPENVINO, svd)] = 4.0 + slower
        times[Step(names.NETWORK, "bfloat16", names.OPENVINO, svd)] = 3.0 + slower
    return times


def test_ratios_and_aims():
    rows = [line.strip("| ").split(" | ") for line in format_aims(made_up_times()).splitlines()]
    assert [row[0] for row in rows[2:]] == [
        "ONNX Runtime",
        "OpenVINO",
        "OpenVINO",
        "the better of both",
        "the better of both",
        "R-CNN",
        "R-CNN",
    ]
    # theirs, our network, theirs / ours, aim, our detect_pixels, theirs / that
    assert rows[2][3:] == ["5000", "2000", "2.50", "1.6", "2500", "2.00"]
    assert rows[3][3:] == ["4000", "2000", "2.00", "1.4", "2500", "1.60"]
    assert rows[4][3:6] == ["3000", "1000", "3.00"]
    assert rows[5][3:] == ["4500", "1000", "4.50", "2.2", "1250", "3.60"]
    assert rows[7][5:7] == ["75.00", "70"]
    assert rows[8][5:7] == ["150.00", "120"]


def test_no_row_for_what_is_not_installed():
    times = {s: t for s, t in made_up_times().items() if s.engine != names.OPENVINO}
    table = format_aims(times)
    assert "| OpenVINO" not in table
    assert table.count("the better of both") == 1  # in float32, ONNX Runtime's
    assert "OpenVINO" not in format_programs(times)


def test_stages_and_their_shares():
    times = made_up_times() | {
        Step(names.HEADS, "float32"): 3.0,
        Step(names.HEADS, "float32", svd=True): 0.5,
        Step(names.POOL, "float32"): 0.05,
    }
    lines = format_stages(times, proposals=1.95).splitlines()
    rows = {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in lines)}
    assert rows["stage"] == ["float32", "float32, SVD", "bfloat16", "bfloat16, SVD"]
    assert rows["proposals (selective search)"][0] == "1950 ms (24.4%)"
    assert rows["RoI pooling"][0] == "50.0 ms (0.6%)"
    assert rows["heads"][:2] == ["3000 ms (37.5%)", "500 ms (9.1%)"]
    assert rows["total"][:2] == ["8000 ms", "5500 ms"]
    assert rows["total without proposals"][:2] == ["6050 ms", "3550 ms"]


@pytest.mark.parametrize("precision", names.PRECISIONS)
def test_tables_of_one_precision(precision):
    times = {s: t for s, t in made_up_times().items() if s.precision == precision}
    head = f"| stage | {precision} | {precision}, SVD |"
    assert format_stages(times, 1.0).splitlines()[0] == head
    rows = [line.split(" | ") for line in format_aims(times).splitlines()[2:]]
    assert {row[1] for row in rows} == {precision}
    assert len(rows) == {"float32": 5, "bfloat16": 2}[precision]


def test_every_program_has_a_row():
    table = format_programs(made_up_times())
    assert len(table.splitlines()) == 2 + 8 + 4 + 1 + 6


def test_requests_at_once_beside_what_they_are_made_of():
    seconds = {
        Calls(what, n): 0.25 / n for n in names.CALLERS for what in (names.SERVED, names.DECODED)
    }
    processor = {c: 0.22 if c.what == names.SERVED else 0.2 for c in seconds}
    lines = format_calls(seconds, processor).splitlines()
    assert lines[2].strip("| ").split(" | ") == ["1", "4.0", "4.0", "220", "200", "1.10"]
    assert [line.split(" | ")[1] for line in lines[3:]] == ["8.0", "32.0"]


def test_csv_has_every_step(tmp_path):
    times = made_up_times()
    result = detect.Result(times, times, proposals=40, distinct=30, differences={})
    detect.write_csv(tmp_path / "times.csv", result, search=2.0)
    with open(tmp_path / "times.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1 + len(times)
    assert rows[0]["milliseconds"] == "2000.00"
    assert {row["engine"] for row in rows[1:]} >= {"portable", "custom", "OpenVINO"}
    assert "saves 25.0%" in detect.describe(result, 2.0)
