"""What the commands say and keep where something is wrong."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from tests.cli.arguments import error_of, train_arguments


def test_best_model_of_a_run_without_validation(run, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    error = error_of(["export", tmp_path, "--to", tmp_path / "model", "--best"], capsys)
    assert "--validate" in error


def test_validation_split_that_does_not_exist(voc_folder, tmp_path, capsys):
    arguments = train_arguments(voc_folder, tmp_path / "run")
    error = error_of(["train", *arguments, "--validate", "vall"], capsys)
    assert "vall" in error and not (tmp_path / "run").exists()


def test_detect_names_a_file_that_is_no_image(run, tmp_path, capsys):
    (tmp_path / "notes.jpg").write_text("not an image")
    detect = ["detect", run, tmp_path / "notes.jpg", "--out", tmp_path / "o"]
    assert main([str(a) for a in detect]) == 1
    assert "notes.jpg: cannot be read as an image" in capsys.readouterr().err


def test_an_image_too_large_is_refused_before_it_takes_memory(run, tmp_path, capsys):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "white.png")
    assert (tmp_path / "white.png").stat().st_size < 30_000
    detect = ["detect", run, tmp_path / "white.png", "--out", tmp_path / "o"]
    assert main([str(a) for a in detect]) == 1
    assert "12000 x 12000 pixels; give --max-pixels" in capsys.readouterr().err
    small = tmp_path / "small.png"
    Image.new("RGB", (40, 30)).save(small)
    arguments = ["detect", run, small, "--out", tmp_path / "o", "--max-pixels", "1199"]
    assert main([str(a) for a in arguments]) == 1
    assert "40 x 30 pixels" in capsys.readouterr().err
    assert main([str(a) for a in [*arguments[:-1], "1200"]]) == 0


def test_empty_split(voc_folder, capsys):
    error = error_of(["proposals", "--data", voc_folder, "--split", "empty"], capsys)
    assert "empty" in error


def test_evaluate_on_other_classes(run, voc_folder, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(voc_folder, other)
    annotation = other / "Annotations" / "4.xml"
    annotation.write_text(annotation.read_text().replace("disc", "cat"))
    error = error_of(["evaluate", run, "--data", other, "--split", "test"], capsys)
    assert "4.xml" in error and "cat" in error


def test_resume_on_another_split_is_refused(run, voc_folder, capsys):
    arguments = ["test" if a == "trainval" else a for a in train_arguments(voc_folder, run)]
    error = error_of(["train", *arguments, "--resume"], capsys)
    assert "0.jpg is gone (and 5 more changes)" in error and "--changed-data" in error


def test_training_into_an_existing_run_is_refused_before_the_search(run, voc_folder, capsys):
    arguments = train_arguments(voc_folder, run)
    error = error_of(["train", *arguments, "--proposals", "missing.npz"], capsys)
    assert "--resume" in error


def test_detect_never_draws_over_an_image(run, voc_folder, tmp_path):
    image = tmp_path / "4.png"
    Image.open(voc_folder / "JPEGImages" / "4.jpg").save(image)
    before = image.read_bytes()
    assert main(["detect", str(run), str(image), "--out", str(tmp_path)]) == 0
    assert image.read_bytes() == before
    assert (tmp_path / "4_.png").is_file()


def test_detect_goes_on_past_a_bad_image(run, voc_folder, tmp_path, capsys):
    good, bad = voc_folder / "JPEGImages" / "4.jpg", tmp_path / "cut.jpg"
    bad.write_bytes(good.read_bytes()[:500])
    missing, other = tmp_path / "missing.jpg", voc_folder / "JPEGImages" / "5.jpg"
    files = [str(f) for f in (good, bad, missing, other)]
    assert main(["detect", str(run), *files, "--out", str(tmp_path / "found")]) == 1
    error = capsys.readouterr().err
    assert "cut.jpg" in error and "missing.jpg" in error and "2 of 4 files could not" in error
    listed = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert list(listed) == [str(good), str(other)]


def test_output_folder_that_cannot_be_made(run, voc_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    image = voc_folder / "JPEGImages" / "4.jpg"
    assert "file" in error_of(["detect", run, image, "--out", tmp_path / "file"], capsys)


def test_demo_leaves_a_folder_that_is_not_its_own_alone(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    assert "run" in error_of(["demo", "--out", tmp_path], capsys)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


def test_impossible_setting_is_named(voc_folder, tmp_path, capsys):
    arguments = train_arguments(voc_folder, tmp_path / "run")
    error = error_of(["train", *arguments, "--steps", "0"], capsys)
    assert "steps" in error and not (tmp_path / "run").exists()


def test_a_terminal_without_the_letters_of_a_class_loses_no_file(run, voc_folder, tmp_path):
    other = tmp_path / "photos"
    shutil.copytree(voc_folder, other)
    for path in (other / "Annotations").iterdir():
        path.write_text(path.read_text().replace("disc", "d\u00efsc"), "utf-8")
    copy = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    config["class_names"] = ["box", "d\u00efsc"]
    (copy / "config.json").write_text(json.dumps(config))
    arguments = ["evaluate", copy, "--data", other, "--split", "test"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.command", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"d\\xefsc" in done.stdout
    assert set(json.loads((copy / "metrics.json").read_text("utf-8"))["AP"]) == {"box", "d\u00efsc"}


def test_a_closed_pipe_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m keras_frcnn.cli recipes vgg16-bccd"
    command += " | true; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert done.stdout.strip() in ("0", "141")


@pytest.mark.parametrize("score", ["nan", "inf", "-0.1", "1.1", "high", "1e300"])
def test_scores_that_are_none_are_refused(score, capsys):
    for command in (["detect", "run"], ["client", "--url", "http://localhost/v1/models/d"]):
        with pytest.raises(SystemExit):
            main([*command, "a.jpg", "--out", "o", f"--min-score={score}"])
        assert "--min-score: must be a number from 0 to 1" in capsys.readouterr().err


def test_long_messages_are_cut(capsys):
    error = error_of(["recipes", "x" * 70_000], capsys)
    assert len(error) < 3000 and "nearest is" in error


def test_errors_of_the_system_are_one_line(run, capsys):
    error = error_of(["evaluate", "y" * 5000, "--data", "z"], capsys)
    assert error.count("\n") == 1 and "name too long" in error.lower()


def test_proposals_of_a_validation_that_nobody_asked_for(voc_folder, tmp_path, capsys):
    """Not a long training that is found at its end to have validated nothing."""
    arguments = [*train_arguments(voc_folder, tmp_path / "run"), "--validate-proposals", "x.npz"]
    assert "also give --validate SPLIT" in error_of(["train", *arguments], capsys)
    assert not (tmp_path / "run").exists()


def test_training_without_data_or_recipe(tmp_path, capsys):
    assert "--recipe" in error_of(["train", "--out", tmp_path / "run"], capsys)
