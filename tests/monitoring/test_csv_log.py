"""Logs that a spreadsheet, a power loss or an editor got hold of."""

import csv

import pytest

from keras_frcnn.monitoring.csv_log import CsvLog

GOOD = "step,loss\n100,0.5\n200,0.25\n"


@pytest.fixture
def log(tmp_path):
    return CsvLog(tmp_path / "log.csv")


def test_rows_come_back(log):
    log.append({"step": 100, "loss": 0.5})
    log.append({"step": 200, "loss": 0.25, "more": "a,b"})
    assert log.rows() == [
        {"step": "100", "loss": "0.5", "more": ""},
        {"step": "200", "loss": "0.25", "more": "a,b"},
    ]
    log.forget_after(100)
    assert [row["step"] for row in log.rows()] == ["100"]


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD])
def test_another_line_ending_and_a_byte_order_mark_are_read(log, text):
    log.path.write_bytes(text.encode())
    assert [row["step"] for row in log.rows()] == ["100", "200"]


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace(",", ";"),  # a spreadsheet
        "100,0.5\n200,0.25\n",  # without the first line
        GOOD + "\0\0\0\0",  # a power loss
        GOOD + "300,0.1,7\n",
        GOOD + "300\n",
        GOOD + "three,0.1\n",
        GOOD + "-1,0.1\n",
        GOOD + '300,"0.1\n',
        GOOD.encode() + b"\xff\xfe300,0.1\n",
    ],
)
def test_what_is_no_log_is_set_aside_with_a_word(log, capsys, content):
    content = content if isinstance(content, bytes) else content.encode()
    (log.path.parent / "log.broken-1.csv").write_text("of an earlier time")
    log.path.write_bytes(content)
    log.append({"step": 300, "loss": 0.125})
    assert (log.path.parent / "log.broken-2.csv").read_bytes() == content
    assert (log.path.parent / "log.broken-1.csv").read_text() == "of an earlier time"
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "log.broken-2.csv" in said
    with log.path.open() as file:
        assert list(csv.DictReader(file)) == [{"step": "300", "loss": "0.125"}]


def test_an_empty_file_is_an_empty_log(log):
    log.path.write_text("")
    assert log.rows() == []
