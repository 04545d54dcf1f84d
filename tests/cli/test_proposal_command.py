"""Proposals by command: from a search or a network, written, used by another detector, compared."""

import csv
import sqlite3

import numpy as np
import pytest
from PIL import Image

from keras_frcnn import data
from keras_frcnn.cli.__main__ import main
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.proposals.saved import load_proposals
from tests.cli.arguments import error_of, train_arguments


@pytest.fixture(scope="module")
def network(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "network"
    options = "--detector rpn --anchor-scales 2 --anchor-ratios 1 --proposals-test 40"
    assert main(["train", *train_arguments(voc_folder, run), *options.split()]) == 0
    return run


@pytest.fixture(scope="module")
def written(network, voc_folder, tmp_path_factory):
    """The proposals of the network in all images of the data set."""
    path = tmp_path_factory.mktemp("proposals") / "network.npz"
    arguments = ["--from", str(network), "--data", str(voc_folder), "--out", str(path)]
    assert main(["proposals", *arguments]) == 0
    return path


def test_a_network_proposes_and_what_it_finds_is_said(network, voc_folder, written, capsys):
    arguments = ["proposals", "--from", str(network), "--data", str(voc_folder)]
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    dataset = data.load(str(voc_folder))
    images = ImageSet(dataset, load_proposals(written, dataset))
    mean = np.mean([len(boxes) for boxes in images.proposals])
    assert 1 <= mean <= 40
    assert said[0].endswith(f"6 images, {mean:.0f} proposals an image")
    recalls = [f"{total_recall(images, iou):.3f} at" for iou in (0.5, 0.7)]
    assert said[1].startswith("recall of 6 objects: ")
    assert all(recall in said[1] for recall in recalls)


def test_proposals_are_kept_in_the_run(network, written):
    rows = sqlite3.connect(network / "proposals.sqlite").execute("SELECT method FROM proposals")
    assert [m.startswith("region network") for (m,) in rows] == [True] * 6


def test_fewer_proposals_are_the_first_ones(network, voc_folder, written, tmp_path):
    arguments = ["--from", str(network), "--data", str(voc_folder), "--count", "3"]
    assert main(["proposals", *arguments, "--out", str(tmp_path / "few.npz")]) == 0
    dataset = data.load(str(voc_folder))
    few, all_of_them = (load_proposals(p, dataset) for p in (tmp_path / "few.npz", written))
    for boxes, more in zip(few, all_of_them, strict=True):
        np.testing.assert_array_equal(boxes, more[:3])


def test_a_fast_rcnn_takes_the_networks_proposals(run, voc_folder, written, tmp_path):
    test = ["--data", str(voc_folder), "--split", "test", "--proposals", str(written)]
    assert main(["evaluate", str(run), *test]) == 0
    arguments = train_arguments(voc_folder, tmp_path / "run", steps=1)
    assert main(["train", *arguments, "--proposals", str(written)]) == 0


def test_those_of_a_search_are_written_too(voc_folder, cache, tmp_path, capsys):
    path = tmp_path / "searched.npz"
    arguments = ["--data", str(voc_folder), "--split", "test", "--count", "5", "--out", str(path)]
    assert main(["proposals", *arguments]) == 0
    assert "searched.npz" in capsys.readouterr().out
    found = load_proposals(path, data.load(str(voc_folder), "test"))
    assert [len(boxes) for boxes in found] == [5, 5]


def test_options_that_do_not_go_together(network, run, voc_folder, tmp_path, capsys):
    of_data = ["proposals", "--data", voc_folder]
    of_run = [*of_data, "--from", network]
    error = error_of([*of_run, "--search", "fast"], capsys)
    assert "--search: is of selective search" in error and "--from" in error
    assert "--search-side: is of" in error_of([*of_run, "--search-side", "300"], capsys)
    assert "--processes: is of" in error_of([*of_run, "--processes", "2"], capsys)
    assert "--best: is of a region" in error_of([*of_data, "--best"], capsys)
    assert "--pictures: is of a region" in error_of([*of_data, "--pictures", tmp_path], capsys)
    assert "rename" in error_of([*of_run, "--out", tmp_path / "p.mat"], capsys)
    error = error_of([*of_data, "--from", run], capsys)
    assert "is a fast_rcnn" in error and "rpn, faster_rcnn or mask_rcnn" in error
    assert "no config.json" in error_of([*of_data, "--from", tmp_path], capsys)
    with pytest.raises(SystemExit):
        main([*map(str, of_run), "--count", "0"])
    assert "--count: must be a whole number" in capsys.readouterr().err


def test_sources_are_compared(network, voc_folder, written, tmp_path, capsys):
    out = tmp_path / "recall"
    sources = ["--from", network, "--proposals", written, "--search", "fast", "--out", out]
    arguments = ["recall", "--data", voc_folder, "--split", "test", *sources]
    assert main([str(a) for a in arguments]) == 0
    with (out / "recall.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = (str(network), "network.npz", "selective search (fast)")
    assert [r["source"] for r in rows] == [name for name in names for _ in range(5)]
    assert [r["proposals at most"] for r in rows[:5]] == ["50", "100", "300", "1000", "2000"]
    dataset = data.load(str(voc_folder), "test")
    images = ImageSet(dataset, load_proposals(written, dataset))
    for column, iou in (("IoU 0.5", 0.5), ("IoU 0.9", 0.9)):
        assert float(rows[5][column]) == total_recall(images, iou)
    table = (out / "recall.md").read_text("utf-8")
    printed = capsys.readouterr().out
    assert "2 objects" in table and "| average recall |" in table
    assert set(table.splitlines()) & set(printed.splitlines()) >= {
        line for line in printed.splitlines() if line.startswith("|")
    }
    assert Image.open(out / "recall.png").size[0] > 900


def test_sources_that_cannot_be_compared(run, network, voc_folder, written, tmp_path, capsys):
    arguments = ["recall", "--data", voc_folder, "--out", tmp_path / "out"]
    assert "--from RUN, --proposals FILE, --search fast" in error_of(arguments, capsys)
    assert "named twice" in error_of([*arguments, "--from", network, network], capsys)
    assert "is a fast_rcnn" in error_of([*arguments, "--from", run], capsys)
    empty = [*arguments, "--split", "empty", "--search", "fast"]
    assert "empty" in error_of(empty, capsys)
    assert not (tmp_path / "out").exists()


def test_pictures_of_the_first_images(network, voc_folder, tmp_path, capsys):
    out = tmp_path / "new" / "pictures"
    arguments = ["--from", str(network), "--data", str(voc_folder), "--pictures", str(out)]
    assert main(["proposals", *arguments]) == 0
    assert f"drawn in {out}" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [f"{i}.png" for i in range(6)]
    sheet = Image.open(out / "0.png")
    assert sheet.width > 3 * 128 and sheet.height > 2 * 96
