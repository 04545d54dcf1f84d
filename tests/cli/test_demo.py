"""The demo, of a few images and steps."""

import dataclasses

import pytest
from PIL import Image

from keras_frcnn import data
from keras_frcnn.cli import demo
from keras_frcnn.cli.__main__ import main


@pytest.mark.slow
def test_goes_the_whole_way(tmp_path, monkeypatch, capsys):
    """Twice: the second replaces what the first has left."""
    load = data.load
    few = dataclasses.replace(demo.SETTINGS, steps=2, decay_at=(), fc_units=(8, 8))
    # Five images have no objects for all anchors of the demo.
    few = dataclasses.replace(few, anchor_scales=(3.0,), anchor_ratios=(0.5, 1.0))
    monkeypatch.setattr(demo, "SETTINGS", few)
    monkeypatch.setattr(demo.data, "load", lambda spec, split: load(spec, f"{split}[:5]"))
    for _ in range(2):
        assert main(["demo", "--out", str(tmp_path / "demo")]) == 0
    assert "on 5 images it was not trained on" in capsys.readouterr().out
    assert Image.open(tmp_path / "demo" / "detections.png").width > 500
    exported = tmp_path / "demo" / "run" / "model" / "1"
    assert (exported / "saved_model.pb").is_file()
