"""Progress on a terminal and in a file, against times worked out by hand."""

import io

import pytest

from keras_frcnn.progress_bar import counted
from tests.terminal import Terminal


def lines(monkeypatch, clock, total, seconds, **options):
    """What a file gets of `total` items that take `seconds` each."""
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    for i, item in enumerate(counted(range(total), total, "proposals", **options)):
        assert item == i
        clock.now += seconds
    return file.getvalue().splitlines()


def test_a_line_after_half_a_minute_and_then_for_every_tenth(monkeypatch, clock):
    shown = lines(monkeypatch, clock, 1000, 0.5)
    assert shown[0] == "proposals: 60 of 1000 images, 2 images/s, 07:50 left"
    assert shown[1] == "proposals: 160 of 1000 images, 2 images/s, 07:00 left"
    assert shown[-2:] == [
        "proposals: 960 of 1000 images, 2 images/s, 00:20 left",
        "proposals: 1000 images in 08:20",
    ]
    assert len(shown) == 11


def test_short_work_has_one_line_and_long_work_few(monkeypatch, clock):
    assert lines(monkeypatch, clock, 400, 1 / 16) == ["proposals: 400 images in 00:25"]
    assert len(lines(monkeypatch, clock, 10000, 20)) == 11
    # Slow items: a line each at most.
    assert lines(monkeypatch, clock, 3, 400, unit="picture") == [
        "proposals: 1 of 3 pictures, 0.0025 pictures/s, 13:20 left",
        "proposals: 2 of 3 pictures, 0.0025 pictures/s, 06:40 left",
        "proposals: 3 pictures in 20:00",
    ]


def test_what_is_not_to_be_left_has_no_last_line(monkeypatch, clock):
    assert lines(monkeypatch, clock, 5, 1, leave=False) == []
    assert lines(monkeypatch, clock, 0, 1) == []


def test_a_failure_has_no_last_line(monkeypatch, clock):
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with pytest.raises(KeyboardInterrupt):
        for _ in counted([1, 2], 2, "proposals"):
            raise KeyboardInterrupt
    assert file.getvalue() == ""


def test_a_bar_on_a_terminal(monkeypatch):
    file = Terminal()
    monkeypatch.setattr("sys.stderr", file)
    assert list(counted("abc", 3, "proposals")) == ["a", "b", "c"]
    assert "proposals: 100%|" in file.getvalue() and "3/3" in file.getvalue()
