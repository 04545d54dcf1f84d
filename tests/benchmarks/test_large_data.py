"""That the benchmark of data sets larger than memory does what a training does, on few images."""

import re

from keras_frcnn.benchmarks import large_data
from keras_frcnn.proposals import packed


def test_two_starts_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed, "LARGE", 3)
    monkeypatch.setattr(large_data, "BATCHES", 1)
    text = large_data.measure(tmp_path, 4, 300)
    assert text.startswith("4 records, 300 proposals each")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if re.search(r"\| +\d", line)]
    assert len(rows) == 6
    for _, _, resident, peak in rows:
        assert 100 < int(resident) <= int(peak) + 1  # MB
    (boxes,) = (tmp_path / "cache").rglob("*.boxes")
    assert boxes.stat().st_size == 4 * 300 * 8
    assert (tmp_path / "data.json").is_file()
