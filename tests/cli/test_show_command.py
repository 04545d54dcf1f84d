"""`keras-frcnn show`, each of what it shows."""

import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import error_of


@pytest.mark.parametrize("what", ["data", "proposals"])
def test_without_a_run(what, voc_folder, cache, tmp_path, capsys):
    command = ["show", what, "--data", str(voc_folder), "--split", "test", "--out", str(tmp_path)]
    assert main(command) == 0
    assert {p.name for p in tmp_path.iterdir()} == {f"{what}.png", "4.png", "5.png"}
    assert Image.open(tmp_path / "4.png").width == 128
    printed = capsys.readouterr().out
    assert "2 images drawn" in printed and ("of 1 objects" in printed) == (what == "proposals")


@pytest.mark.parametrize("what", ["samples", "batch", "features"])
def test_of_a_run(what, run, voc_folder, tmp_path):
    command = ["show", what, "--data", str(voc_folder), "--split", "trainval", "--run", str(run)]
    assert main([*command, "--out", str(tmp_path), "--count", "2"]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 3  # two images and the sheet
    assert (tmp_path / f"{what}.png").is_file()


def test_samples_of_settings(voc_folder, cache, tmp_path):
    command = ["show", "samples", "--data", str(voc_folder), "--split", "trainval"]
    few = ["--trunk", "tiny", "--min-side", "64", "--max-side", "100", "--images-per-batch", "1"]
    assert main([*command, *few, "--out", str(tmp_path), "--step", "2"]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("data --run r", "--run: ground truth is of no run"),
        ("data --search fast", "--search: has no meaning here"),
        ("proposals --run r --proposals a.npz", "--proposals: has no meaning here"),
        ("features", "--run: name the run"),
        ("data --count 0", "--count is 0"),
        ("samples --step -1 --trunk tiny", "step is -1"),
    ],
)
def test_what_does_not_go_together(arguments, message, voc_folder, cache, tmp_path, capsys):
    command = ["show", *arguments.split(), "--data", voc_folder, "--out", tmp_path / "out"]
    assert message in error_of([*command, "--split", "trainval"], capsys)
    assert not (tmp_path / "out").exists()
