"""Runs that are killed and resumed, and runs on two devices, against whole runs on one."""

import time

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.runs.checkpoints import checkpoint_path, checkpoint_paths, read_checkpoint
from tests import runner
from tests.images import random_proposals
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

STEPS = 40
KILLS = 3


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    dataset = tiny_dataset(tmp_path_factory.mktemp("images"))
    return ImageSet(dataset, random_proposals(dataset))


def state(run, step):
    """Weights and optimizer's state of a checkpoint, by their paths."""
    model = read_checkpoint(checkpoint_path(run, step), compile=True)
    return {v.path: v.numpy() for v in [*model.weights, *model.optimizer.variables]}


JOINT = {
    "detector": "faster_rcnn",
    "anchor_scales": (4, 5),
    "anchor_ratios": (1,),
    "proposal_min_size": 2,
    "proposals_train": 40,
}


@pytest.mark.parametrize(
    "detector",
    [{}, pytest.param(JOINT, marks=pytest.mark.slow)],
    ids=["given proposals", "joint training"],
)
def test_killed_runs_end_with_the_same_bits(data, tmp_path, detector):
    settings = tiny_settings(
        dropout=0.5, steps=STEPS, deterministic=True, decay_at=(20,), **detector
    )
    data = ImageSet(data.dataset) if detector else data
    options = {"checkpoint_every": 5}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = runner.start(whole, data, settings, **options)

    rng = np.random.default_rng()
    points = []  # where each process began and was killed
    for _ in range(KILLS):
        process, steps = runner.start(killed, data, settings, resume=killed.exists(), **options)
        step = first = steps.recv()
        last = min(first + rng.integers(1, 15), STEPS - 2)
        while step < last:
            step = steps.recv()
        time.sleep(rng.uniform(0, 0.1))  # in the step, in the log or in the checkpoint after it
        process.kill()
        process.join()
        points.append((first, step))
    seen = runner.finish(*runner.start(killed, data, settings, resume=True, **options))

    assert runner.finish(*uninterrupted) == list(range(STEPS))
    assert all(first % 5 == 0 for first, _ in points) and seen[0] % 5 == 0
    assert seen == list(range(seen[0], STEPS))
    expected, found = state(whole, STEPS), state(killed, STEPS)
    assert expected.keys() == found.keys() and len(expected) > 15
    for path in expected:
        np.testing.assert_array_equal(found[path], expected[path], f"{path}, killed at {points}")
    log = (killed / "log.csv").read_text()
    assert log == (whole / "log.csv").read_text(), f"killed at {points}"
    assert len(log.splitlines()) == 1 + -(-STEPS // runner.EPOCH)
    assert len(checkpoint_paths(killed)) == settings.keep_checkpoints


def test_two_devices_take_the_step_of_one(data, tmp_path):
    # One image has fewer RoIs than are to be sampled.
    few = [p[:5] if i == 0 else p for i, p in enumerate(data.proposals)]
    settings = tiny_settings(steps=2, rois_per_image=32, l2=0.0)
    one, two = tmp_path / "one", tmp_path / "two"
    processes = [
        runner.start(one, ImageSet(data.dataset, few), settings, cpus=2),
        runner.start(two, ImageSet(data.dataset, few), settings, cpus=2, devices="cpu:0,cpu:1"),
    ]
    for process in processes:
        runner.finish(*process)
    expected, found = state(one, 2), state(two, 2)
    momenta = [path for path in expected if "momentum" in path]
    assert len(momenta) == 12  # kernel and bias of six layers
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], 1e-4, 1e-7, err_msg=path)
    rows = [np.loadtxt(run / "log.csv", delimiter=",", skiprows=1) for run in (one, two)]
    np.testing.assert_allclose(*rows, rtol=1e-5)
