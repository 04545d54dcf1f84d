"""That what is timed makes the proposals of the detector, on photographs of one size."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn.benchmarks import proposals, proposals_steps
from keras_frcnn.benchmarks.proposals_networks import LOGITS, OFFSETS, build_proposer
from keras_frcnn.benchmarks.proposals_search import serve
from keras_frcnn.benchmarks.proposals_steps import (
    BOXES,
    LAYERS,
    NUMBERS,
    PROPOSE,
    SEARCH,
    SIZE,
    SUPPRESS,
    Step,
    photographs,
)
from keras_frcnn.benchmarks.proposals_tensorflow import load_steps
from keras_frcnn.benchmarks.train_workload import photograph
from keras_frcnn.benchmarks.turns import OUTPUT
from keras_frcnn.errors import InputError
from keras_frcnn.runs.directory import save_settings
from keras_frcnn.settings import Settings
from tests.benchmarks.test_detect import Questions

HERE = (192, 320)  # pixels


@pytest.fixture(scope="module")
def image():
    return photograph(np.random.default_rng(0), *HERE)


@pytest.fixture(scope="module")
def proposer(image):
    proposer = build_proposer("squeezenet", image)
    proposer.min_side, proposer.max_side = HERE
    return proposer


@pytest.fixture(scope="module")
def steps(proposer, image):
    return load_steps(proposer, [image], ("float32", "bfloat16"))


def test_photographs_are_cut_around_the_middle_and_scaled(tmp_path):
    pixels = np.zeros((90, 50, 3), np.uint8)
    pixels[30:60, :, 0] = np.linspace(0, 250, 50)
    for name in ("b.jpg", "a.PNG", "c.txt"):
        Image.fromarray(pixels).save(tmp_path / name, "PNG")
    images = photographs(tmp_path, 2)
    assert [image.shape for image in images] == [(*SIZE, 3)] * 2
    assert images[0][:, 0].max() < 10 and images[0][:, -1, 0].min() > 240
    with pytest.raises(InputError, match="2 photographs, 3 are needed"):
        photographs(tmp_path, 3)


def test_made_up_photographs_differ():
    images = photographs(None, 2)
    assert [image.shape for image in images] == [(*SIZE, 3)] * 2
    assert np.abs(np.float32(images[0]) - images[1]).mean() > 20


def test_scores_and_offsets_spread_as_in_a_trained_network(steps):
    maps = steps[Step(LAYERS, 0, "float32")]()
    assert np.std(maps["deltas"]) == pytest.approx(OFFSETS, rel=0.01)
    logits = maps["scores"][..., 1] - maps["scores"][..., 0]
    assert np.std(logits) == pytest.approx(LOGITS, rel=0.01)


def test_timed_is_what_a_detector_does(steps, proposer, image):
    expected, objectness = proposer.propose_batch(tf.constant(image[None]))
    assert 10 < np.count_nonzero(objectness)
    for step in (Step(PROPOSE, 0, "float32"), Step(SUPPRESS, 0, "float32")):
        found = steps[step]()
        np.testing.assert_allclose(found["proposals"], expected, atol=1e-3)
        np.testing.assert_allclose(found["objectness"], objectness, atol=1e-5)


def test_in_bfloat16_and_with_the_numbers_of_training(steps):
    assert set(steps) == set(proposals.steps_of(1, ("float32", "bfloat16")))
    for step, run in steps.items():
        if step.what == SUPPRESS:
            assert run()["proposals"].shape == (1, step.numbers[1], 4)
    maps = [steps[Step(LAYERS, 0, p)]()["scores"].numpy() for p in ("float32", "bfloat16")]
    assert 0 < np.abs(np.subtract(*maps)).max() < 0.3


def test_the_search_answers_with_its_boxes(image):
    pipe = Questions((OUTPUT, Step(SEARCH, 0)))
    with pytest.raises(EOFError):
        serve(pipe, 1, [image])
    (output,) = pipe.answers
    assert output[BOXES].shape[1] == 4


def test_a_run_must_make_proposals(tmp_path, image):
    save_settings(tmp_path, Settings(trunk="squeezenet"))
    with pytest.raises(InputError, match="makes no proposals"):
        build_proposer("", image, str(tmp_path))


def made_up_times():
    """Seconds of two photographs; the search takes ten times what all of a network does."""
    times = {(SEARCH, Step(SEARCH, i)): [1.0, 1.2, 5.0] for i in range(2)}
    for step in proposals.steps_of(2, ("float32", "bfloat16")):
        seconds = 0.06 if step.precision == "bfloat16" else 0.24
        seconds = {LAYERS: seconds - 0.02, PROPOSE: seconds, SUPPRESS: 0.02}[step.what]
        if step.numbers != NUMBERS[0]:
            seconds *= 3
        times["vgg16", step] = [seconds]
    return times


def test_tables():
    times = made_up_times()
    rows = proposals.format_ratios(times, ["vgg16"], ["float32", "bfloat16"]).splitlines()
    assert rows[2] == "| vgg16 | float32 | 220 | 20.0 | 240 | 1200 | 5.0 | 8 | 15 |"
    assert rows[3] == "| vgg16 | bfloat16 | 40.0 | 20.0 | 60.0 | 1200 | 20.0 | 10 | 15 |"
    rows = proposals.format_suppression(times, ["vgg16"], "float32", {"vgg16": 300}).splitlines()
    assert rows[0] == (
        "| network | 6000 to 300 | 12000 to 2000 | all to 2000 | proposals of an image |"
    )
    assert rows[2] == "| vgg16 | 20.0 | 60.0 | 60.0 | 300 |"


def test_command(monkeypatch, tmp_path):
    asked = []

    def measure(images, networks, precisions, threads, rounds):
        asked.append((len(images), networks, list(precisions), threads, rounds))
        return made_up_times(), {"vgg16": 300.0}

    monkeypatch.setattr(proposals, "measure", measure)
    monkeypatch.setattr(proposals_steps, "SIZE", (6, 10))
    out = tmp_path / "out.md"
    options = ["--trunk", "vgg16", "--precision", "float32", "--threads", "1", "--out", str(out)]
    assert proposals.main(options) == 0
    assert asked == [(8, {"vgg16": ("vgg16", None)}, ["float32"], 1, 3)]
    assert "| vgg16 | float32 |" in out.read_text()


@pytest.mark.slow
def test_whole_benchmark(image):
    networks = {"squeezenet": ("squeezenet", None)}
    times, found = proposals.measure([image], networks, ["float32"], 2, 2)
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.values())
    assert len(times) == 1 + len(proposals.steps_of(1, ["float32"]))
    assert 0 < found["squeezenet"] <= 300
