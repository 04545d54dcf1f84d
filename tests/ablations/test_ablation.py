"""Experiments on a tiny data set: what they train, what they keep and what they write."""

import csv
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.ablations import ABLATIONS, load_ablation
from keras_frcnn.ablations.ablation import format_markdown, plan, run_ablation
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.runs.checkpoints import checkpoint_path
from keras_frcnn.runs.directory import load_checkpoint, load_settings
from keras_frcnn.settings import Settings
from tests.images import colored_rectangles, random_proposals
from tests.tiny import tiny_settings, tiny_trunk

pytestmark = pytest.mark.usefixtures("tiny")

with tiny_trunk():
    SETTINGS = tiny_settings(fc_units=(16, 16), dropout=0.5, recipe="squeezenet-voc07-subset")


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    dataset = colored_rectangles(
        tmp_path_factory.mktemp("rectangles"),
        [(60, 70), (70, 60)],
        [[(5, 5, 40, 40)], [(10, 20, 50, 60)]],
        labels=[[1], [2]],
    )
    return ImageSet(dataset, random_proposals(dataset, 20))


@pytest.fixture(scope="module")
def multi_task(split, tmp_path_factory):
    out = tmp_path_factory.mktemp("ablations") / "out"
    return out, run_ablation(load_ablation("multi-task"), out, SETTINGS, split, split, "area")


def weights(out, variant):
    model = load_checkpoint(out / variant, load_settings(out / variant))
    return {v.path: v.numpy() for v in model.variables if v.path.endswith(("kernel", "bias"))}


def test_the_cases_of_table_6(multi_task):
    out, rows = multi_task
    assert [tuple(row.values())[:2] for row in rows] == [
        ("classification loss only", "no"),
        ("stage-wise", "yes"),
        ("multi-task", "no"),
        ("multi-task", "yes"),
    ]
    assert load_settings(out / "recipe") == SETTINGS
    assert load_settings(out / "classification-only") == replace(SETTINGS, box_loss_weight=0.0)


def test_table_and_picture_hold_the_rows(multi_task):
    out, rows = multi_task
    with (out / "multi-task.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["mAP"]) for row in read] == [row["mAP"] for row in rows]
    text = (out / "multi-task.md").read_text()
    assert format_markdown(rows) in text and "2 images of rectangles" in text
    assert Image.open(out / "multi-task.png").width == 720


def test_stage_wise_trains_the_box_regressor_alone(multi_task):
    out, _ = multi_task
    first, second = weights(out, "classification-only"), weights(out, "stage-wise")
    moved = {path for path in first if not np.array_equal(first[path], second[path])}
    assert moved == {"bbox_deltas/kernel", "bbox_deltas/bias"}


def test_without_box_loss_the_regressor_only_decays(multi_task):
    out, _ = multi_task
    # Gaussian of standard deviation 0.001, the same random numbers as the recipe's at the start.
    kernel = weights(out, "classification-only")["bbox_deltas/kernel"]
    assert np.std(kernel) == pytest.approx(0.001, rel=0.2)
    assert not np.any(weights(out, "classification-only")["bbox_deltas/bias"])
    assert np.any(weights(out, "recipe")["bbox_deltas/bias"])


def test_finished_variants_are_not_trained_again(multi_task, split):
    out, rows = multi_task
    files = [checkpoint_path(out / name, 3) for name in ("classification-only", "recipe")]
    before = [path.stat().st_mtime_ns for path in files]
    # With the runs of one experiment, another that needs only the recipe's trains nothing.
    again = run_ablation(load_ablation("multi-task"), out, SETTINGS, split, split, "area")
    counts = run_ablation(load_ablation("proposals"), out, SETTINGS, split, split, "area")
    assert again == rows
    assert [path.stat().st_mtime_ns for path in files] == before
    # Each image has fewer proposals than the largest numbers: nothing changes there any more.
    assert counts[-1]["mAP"] == counts[-2]["mAP"] == rows[-1]["mAP"]
    recalls = [row["average recall"] for row in counts]
    assert recalls == sorted(recalls)
    assert counts[-1]["mean proposals an image"] == np.mean([len(p) for p in split.proposals])


def test_an_interrupted_variant_goes_on_and_scales_are_compared(multi_task, split, tmp_path):
    out, _ = multi_task
    (tmp_path / "recipe").mkdir()
    shutil.copy(out / "recipe" / "config.json", tmp_path / "recipe")  # killed before a checkpoint
    rows = run_ablation(load_ablation("scales"), tmp_path, SETTINGS, split, split, "area")
    assert checkpoint_path(tmp_path / "recipe", 3).is_file()
    scales = [(row["scales in training"], row["scales at test"]) for row in rows]
    assert scales == [(1, 1), (5, 1), (5, 5)]
    assert all(row["seconds an image"] > 0 for row in rows)


def test_an_interruption_says_how_to_go_on(split, tmp_path, monkeypatch):
    def stop(*args, **options):
        raise Interrupted(signal.SIGTERM, "with --resume")

    monkeypatch.setattr("keras_frcnn.training.fit.train", stop)
    with pytest.raises(Interrupted, match="recipe is not finished; the same command") as caught:
        run_ablation(load_ablation("proposals"), tmp_path, SETTINGS, split, split, "area")
    assert caught.value.number == signal.SIGTERM


def test_runs_of_other_settings_are_refused(multi_task):
    out, _ = multi_task
    ablation = load_ablation("multi-task")
    with pytest.raises(InputError, match="rate"):
        plan(ablation, out, replace(SETTINGS, rate=0.02))
    with pytest.raises(InputError, match=f"{out / 'classification-only'}: was trained for 3 steps"):
        plan(ablation, out, replace(SETTINGS, steps=4))


def test_recipes_that_do_not_suit_are_refused(tmp_path):
    for name, changes, message in (
        ("multi-task", {"box_loss_weight": 0.0}, "box_loss_weight"),
        ("scales", {"min_side": (64, 80)}, "min_side"),
        ("finetune-depth", {}, "weights"),
    ):
        with pytest.raises(InputError, match=message):
            plan(load_ablation(name), tmp_path, replace(SETTINGS, **changes))
    with pytest.raises(InputError, match="'multitask' is unknown, the nearest is 'multi-task'"):
        load_ablation("multitask")


def test_the_scales_of_the_paper(tmp_path):
    planned = plan(load_ablation("scales"), tmp_path, Settings("d", "", ("a",), weights="imagenet"))
    assert planned["recipe"].min_side == (600,) and planned["recipe"].max_side == 1000
    assert planned["multi-scale"].min_side == (480, 576, 688, 864, 1200)
    assert planned["multi-scale"].max_side == 2000


@pytest.mark.parametrize("trunk", ("vgg16", "vgg_cnn_m_1024", "squeezenet"))
def test_the_depths_exist_in_each_trunk(trunk, tmp_path):
    settings = replace(SETTINGS, trunk=trunk, weights="weights.h5")
    planned = plan(load_ablation("finetune-depth"), tmp_path, settings)
    assert len(planned) == 4 and "from-fc6" in planned


def test_every_experiment_says_what_it_is():
    assert [load_ablation(name).name for name in ABLATIONS] == list(ABLATIONS)
