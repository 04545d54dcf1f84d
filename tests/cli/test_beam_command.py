"""The whole way on Beam by command, against the same way without."""

import json
import sys

import numpy as np
import pytest

from keras_frcnn import data
from keras_frcnn.cli.__main__ import main
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.saved import load_proposals
from tests.cli.arguments import error_of, train_arguments

pytest.importorskip("apache_beam")


@pytest.fixture(scope="module")
def proposals(voc_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("beam") / "proposals"
    images = f"{voc_folder}/JPEGImages/*.jpg"
    assert main(["beam", "proposals", "--input", images, "--output", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def detections(run, proposals, tmp_path_factory):
    out = tmp_path_factory.mktemp("beam") / "detections"
    arguments = ["--model", str(run), "--proposals", str(proposals), "--output", str(out)]
    assert main(["beam", "detect", *arguments]) == 0
    return out


def test_ap_is_that_of_evaluate(run, detections, voc_folder, tmp_path, capsys):
    of_data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(run), *of_data]) == 0
    expected = capsys.readouterr().out
    out = tmp_path / "ap"
    assert (
        main(["beam", "evaluate", "--input", str(detections), *of_data, "--output", str(out)]) == 0
    )
    assert capsys.readouterr().out == expected
    assert json.loads((out / "metrics.json").read_text()) == json.loads(
        (run / "metrics.json").read_text()
    )
    assert (out / "precision_recall.png").is_file()


def test_training_takes_the_proposals(proposals, voc_folder, cache, tmp_path):
    dataset = data.load(str(voc_folder), "trainval")
    own = find_proposals(dataset, progress=False)
    for boxes, others in zip(load_proposals(proposals, dataset), own, strict=True):
        np.testing.assert_array_equal(boxes, others)
    arguments = [*train_arguments(voc_folder, tmp_path / "run", steps=1), "--proposals"]
    assert main(["train", *arguments, str(proposals)]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["proposals"] == str(proposals)


def test_failed_images_are_told_and_are_the_status(voc_folder, tmp_path, capsys):
    images = voc_folder / "JPEGImages"
    (tmp_path / "l.txt").write_text(f"{images}/0.jpg\n{images}/none.jpg\n")
    out = tmp_path / "out"
    arguments = ["--input", str(tmp_path / "l.txt"), "--output", str(out), "--search-side", "64"]
    assert main(["beam", "proposals", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == f"{out}: 1 shards, 1 of them made now, with 1 images\n"
    assert "none.jpg: cannot be read" in said.err
    assert f"1 images failed, listed in {out}/failed-*.jsonl" in said.err
    assert main(["beam", "proposals", *arguments]) == 1
    assert "0 of them made now" in capsys.readouterr().out


def test_options_of_beam_are_read_by_beam(tmp_path, capsys):
    arguments = ["beam", "proposals", "--input", "x", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--direct_num_worker", "2"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --direct_num_worker 2" in capsys.readouterr().err


def test_without_beam_it_is_told_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    said = error_of(["beam", "proposals", "--input", "x", "--output", tmp_path], capsys)
    assert said == (
        "keras-frcnn beam: apache_beam is not installed; pip install 'keras-frcnn[beam]'\n"
    )


def test_a_model_that_cannot_be_loaded_is_an_error_of_one_line(voc_folder, tmp_path, capsys):
    about = {
        "detector": {"kind": "faster_rcnn"},
        "class_names": ["a"],
        "export": {"ops": "portable"},
    }
    (tmp_path / "model" / "assets.extra").mkdir(parents=True)
    (tmp_path / "model" / "assets.extra" / "model.json").write_text(json.dumps(about))
    arguments = ["--model", tmp_path / "model", "--input", f"{voc_folder}/JPEGImages/*.jpg"]
    said = error_of(["beam", "detect", *arguments, "--output", tmp_path / "out"], capsys)
    assert said.splitlines()[-1].startswith("keras-frcnn beam: ")
    assert "model: cannot be loaded" in said.splitlines()[-1]
