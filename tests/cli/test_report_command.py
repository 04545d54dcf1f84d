"""`keras-frcnn report`, of a run, of two, and of detections from a file."""

import json

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import error_of


def test_of_one_of_two_and_of_a_file(run, voc_folder, tmp_path, capsys):
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["report", str(run), *data]) == 0
    text = (run / "report.html").read_text("utf-8")
    for name in ("classes", "errors", "confusion", "recall", "training", "timing", "settings"):
        assert f'<section id="{name}">' in text
    assert "mAP in validation" in text and "--trunk" in text
    out = tmp_path / "both.html"
    assert main(["report", str(run), str(run), *data, "--out", str(out)]) == 0
    assert "All settings are the same" in out.read_text("utf-8")
    (tmp_path / "d.json").write_text(json.dumps({"4.jpg": []}))
    file = ["--detections", str(tmp_path / "d.json"), "--out", str(tmp_path / "new" / "d.html")]
    assert main(["report", *file, *data, "--images", "1"]) == 0
    text = (tmp_path / "new" / "d.html").read_text("utf-8")
    assert '<section id="classes">' in text and '<section id="settings">' not in text
    assert "1 of 2 images" in text
    assert f"written to {tmp_path / 'new' / 'd.html'}" in capsys.readouterr().out


def test_what_does_not_go_together(run, voc_folder, tmp_path, capsys):
    data = ["--data", voc_folder, "--split", "test"]
    (tmp_path / "d.json").write_text("{}")
    assert "--images is -1" in error_of(["report", run, *data, "--images", "-1"], capsys)
    assert "name either a run" in error_of(["report", *data, "--out", "o.html"], capsys)
    both = ["report", run, run, *data, "--detections", tmp_path / "d.json"]
    assert "--detections" in error_of(both, capsys)
    assert "--out: name the file" in error_of(
        ["report", *data, "--detections", tmp_path / "d.json"], capsys
    )
