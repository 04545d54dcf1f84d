"""`keras-frcnn errors`, of a run and of a file."""

import csv
import json

from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.evaluation.errors import KINDS
from tests.cli.arguments import error_of


def test_tables_and_pictures_of_a_run(run, voc_folder, tmp_path, capsys):
    data = ["--data", str(voc_folder), "--split", "test"]
    out = tmp_path / "errors of mine"
    assert main(["errors", str(run), *data, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "no proposal" in printed and "localisation" in printed
    with (out / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["box", "disc"]
    assert {*KINDS, *(f"{kind} gain" for kind in KINDS)} <= rows[0].keys()
    text = (out / "errors.md").read_text()
    pictures = {path.name for path in out.glob("*.png")}
    assert all(f"({name})" in text for name in pictures) and "errors.png" in pictures
    assert Image.open(out / "errors.png").width > 500


def test_detections_from_a_file(voc_folder, tmp_path, capsys):
    (tmp_path / "d.json").write_text(json.dumps({"4.jpg": []}))
    command = ["errors", "--detections", str(tmp_path / "d.json"), "--data", str(voc_folder)]
    command += ["--split", "test", "--out", str(tmp_path / "out")]
    assert main([*command, "--pictures", "0"]) == 0
    assert "no proposal" not in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "errors.csv",
        "errors.md",
        "errors.png",
    ]
    assert "--pictures is -1" in error_of([*command, "--pictures", "-1"], capsys)
