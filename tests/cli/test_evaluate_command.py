"""`keras-frcnn evaluate`: of a run, and of anybody's detections without a model."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import error_of


def test_a_run_and_its_files_have_the_same_numbers(run, voc_folder, tmp_path, capsys):
    data = ["--data", str(voc_folder), "--split", "test"]
    files = ["--voc-results", str(tmp_path / "voc"), "--coco-results", str(tmp_path / "coco.json")]
    assert main(["evaluate", str(run), *data, *files]) == 0
    printed = capsys.readouterr().out
    assert "mAP" in printed and "COCO: AP 0." in printed
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["COCO_AP"]) == {"box", "disc"} and len(metrics["COCO"]) == 12
    for file in (run / "detections.json", tmp_path / "coco.json"):
        out = tmp_path / "out"
        assert main(["evaluate", "--detections", str(file), *data, "--out", str(out)]) == 0
        assert capsys.readouterr().out == printed
        assert json.loads((out / "metrics.json").read_text()) == metrics
        assert Image.open(out / "precision_recall.png").width > 400
    # Two decimals of pixels, six of scores.
    assert main(["evaluate", "--detections", str(tmp_path / "voc"), *data]) == 0
    assert "mAP" in capsys.readouterr().out


def test_without_a_model_tensorflow_is_not_imported(voc_folder, tmp_path):
    file = tmp_path / "found.json"
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 128, 96], "score": 0.5}
    file.write_text(json.dumps([entry]))
    arguments = ["evaluate", "--detections", str(file), "--data", str(voc_folder)]
    script = (
        "import sys; from keras_frcnn.cli.__main__ import main; "
        f"assert main({[*arguments, '--split', 'test']}) == 0; "
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "COCO: AP 0.0000" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "name either a run or --detections FILE"),
        (["run", "--detections", "a.json", "--data", "d"], "name either a run or --detections"),
        (["--detections", "a.json"], "--data: name the images"),
        (["--detections", "a.json", "--data", "d", "--best"], "--best: belongs to a run"),
        (["--detections", "a.json", "--data", "d", "--search", "fast"], "--search: belongs to"),
        (["--detections", "a.json", "--data", "d", "--processes", "1"], "--processes: belongs"),
        (["--detections", "a.json", "--data", "d", "--max-detections", "9"], "--max-detections: "),
        (["run", "--data", "d", "--out", "o"], "--out: belongs to --detections"),
    ],
)
def test_what_does_not_go_together(arguments, message, capsys):
    error = error_of(["evaluate", *arguments], capsys)
    assert message in error and error.count("\n") == 1


def test_detections_of_other_data(voc_folder, tmp_path, capsys):
    (tmp_path / "d.json").write_text(json.dumps({"elsewhere.jpg": []}))
    command = ["evaluate", "--detections", tmp_path / "d.json", "--data", voc_folder]
    assert "has no image 'elsewhere.jpg'" in error_of([*command, "--split", "test"], capsys)
