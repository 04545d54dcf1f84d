import dataclasses

import numpy as np
import pytest

from keras_frcnn.benchmarks import train, train_keras, train_memory, train_turns
from keras_frcnn.benchmarks.train_stages import FASTER, STAGES
from keras_frcnn.benchmarks.train_workload import VOC_SIZE, workload
from keras_frcnn.benchmarks.turns import STEP, Program
from keras_frcnn.recipes import load_recipe


def test_workload_is_two_images_of_600_x_800_pixels_and_128_rois_with_objects():
    settings = train_keras.recipe_settings("float32")
    inputs, outputs = train_keras.one_batch(settings, VOC_SIZE)
    assert inputs["images"].shape == (2, 600, 800, 3)
    assert inputs["rois"].shape == (2, 64, 4)
    labels = outputs["cls_score"]
    assert (labels >= 0).all()  # no padding, which the loss of the PyTorch step does not know
    assert ((labels > 0).sum(axis=1) == 16).all()


def test_files_are_of_the_size_of_photographs(tmp_path):
    images = workload(tmp_path, [VOC_SIZE])
    assert 60_000 < (tmp_path / images.dataset.images[0].filename).stat().st_size < 130_000
    assert images.proposals[0].shape == (2000, 4)


def test_steps_taken_in_turn_and_stages_that_add_up(monkeypatch):
    monkeypatch.setattr(train_turns, "WARMUP", 1)
    monkeypatch.setattr(train_turns, "PROFILED", 1)
    settings = dataclasses.replace(
        load_recipe("squeezenet-voc07-subset").settings,
        weights=None,
        fc_units=(8, 8),
        min_side=(64,),
        precision="float32",
    )
    batch = train_keras.one_batch(settings, (64, 80))
    programs = train.our_programs(settings, (64, 80), batch, threads=1)
    steps, stages = train.measure(programs, rounds=2)
    assert {name: len(times) for name, times in steps.items()} == {
        train.FILES: 2,
        train.MEMORY: 2,
    }
    assert all(wall > 0 and processor > 0 for times in steps.values() for wall, processor in times)
    for stage in STAGES:
        assert (stages[stage] > 0) == (stage not in FASTER), stage
    table = train.format_stages({"float32": stages})
    shares = [float(line.split("(")[1].split("%")[0]) for line in table.splitlines()[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))


def test_a_program_that_fails_says_so():
    program = Program("keras_frcnn.benchmarks.no_such_module", 1)
    with pytest.raises(RuntimeError, match="ended with status 1"):
        program.ask(STEP)


def test_table_of_steps():
    steps = {
        "float32": {train.FILES: [(2.1, 4.0)], train.MEMORY: [(1.0, 3.0), (2.0, 4.0), (9.0, 5.0)]}
    }
    rows = train.format_steps(steps).splitlines()
    assert rows[2] == "| float32 | from image files | 2.10 | 4.00 | 1.05 |"
    assert rows[3] == "| float32 | from memory | 2.00 | 4.00 | 1.00 |"


@pytest.mark.parametrize("detector", ["fast_rcnn", "faster_rcnn"])
def test_watches_memory_and_traces(detector):
    text = train_memory.watch(detector, images=6, steps=4, every=2)
    rows = [line.split(" | ") for line in text.splitlines()[4:6]]
    assert [row[0] for row in rows] == ["| 2", "| 4"]
    assert all(float(row[1]) > 100 for row in rows)
    # With and without making variables; sizes differ, and are not traced anew.
    assert [row[2] for row in rows] == ["2 |"] * 2
    assert np.isfinite(float(text.split("grew by ")[1].split("%")[0]))


@pytest.mark.parametrize("vgg16", [False, True])
def test_images_of_a_long_training_differ_in_size(vgg16):
    settings, sizes = train_memory.settings_and_sizes("faster_rcnn", "float32", vgg16, 50)
    assert len(set(sizes)) == 50
    if vgg16:
        assert settings == train_keras.recipe_settings("float32", "faster_rcnn")
        assert sum(height > width for height, width in sizes) == 10
