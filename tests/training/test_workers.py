"""Trainings by two workers on 127.0.0.1 against one process, stopped, killed and begun anew."""

import csv
import os
import signal
import time

import numpy as np
import pytest

from keras_frcnn.data.load import load
from keras_frcnn.monitoring.validation import Validation
from keras_frcnn.proposals.saved import save_proposals
from keras_frcnn.runs.checkpoints import checkpoint_paths, checkpoint_step
from tests import runner
from tests.images import random_proposals
from tests.tiny import add_trunk, tiny_dataset
from tests.training.test_resume import state

STEPS = 12
JOINT = {
    "detector": "faster_rcnn",
    "anchor_scales": (4, 5),
    "anchor_ratios": (1,),
    "proposal_min_size": 2,
    "proposals_train": 40,
}


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of three images with a table of objects, and their proposals in a file."""
    folder = tmp_path_factory.mktemp("photos")
    images = tiny_dataset(folder).images
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        for record in images:
            for box, label in zip(record.boxes, record.labels, strict=True):
                rows.writerow([record.filename, *box, ("one", "two")[label - 1]])
    dataset = load(str(folder), "train")
    proposals = folder.parent / f"{folder.name}.npz"
    save_proposals(proposals, dataset, random_proposals(dataset))
    return folder, proposals


def arguments(photos, out, **changes):
    """Of `keras-frcnn train`, for a Fast R-CNN of a second that drops out."""
    folder, proposals = photos
    settings = {
        "data": folder,
        "split": "train",
        "proposals": proposals,
        "trunk": "tiny",
        "weights": "none",
        "precision": "float32",
        "min_side": "48,64",
        "max_side": 100,
        "rois_per_image": 16,
        "rate": 0.01,
        "decay_at": "8",
        "steps": STEPS,
        "images_per_batch": 4,
        "group_by_aspect": "true",
        "deterministic": "true",
        "checkpoint_every": 5,
        "out": out,
        **changes,
    }
    return ["train", *(f"--{k.replace('_', '-')}={v}" for k, v in settings.items())]


class Pair:
    """Two workers with the same command."""

    def __init__(self, argv, folder, others=(), command=runner.command):
        self.outputs = [folder / f"worker{i}.txt" for i in range(2)]
        for output in self.outputs:
            output.write_text("")
        arguments = argv, [*argv, *others]
        self.workers = [
            runner.start_in_process(command, given, output, tf_config=config)
            for given, output, config in zip(
                arguments, self.outputs, runner.tf_configs(), strict=True
            )
        ]

    def wait_for(self, step):
        """Until both begin mini-batch number `step`."""
        for _, steps in self.workers:
            while steps.recv() < step:
                pass

    def signal(self, index, number):
        os.kill(self.workers[index][0].pid, number)

    def finish(self, *statuses):
        return [
            runner.finish(*worker, status)
            for worker, status in zip(self.workers, statuses, strict=True)
        ]

    def last_lines(self):
        return [output.read_text().strip().splitlines()[-1] for output in self.outputs]


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The uninterrupted run of two workers."""
    run = tmp_path_factory.mktemp("whole") / "run"
    pair = Pair(arguments(photos, run), run.parent)
    assert pair.finish(0, 0) == [list(range(STEPS))] * 2
    assert "trained for 12 steps" in pair.last_lines()[0]
    assert "step" not in pair.outputs[1].read_text()  # the first alone tells
    return run


def rows(run):
    """The log without its header and what time tells."""
    header, *lines = (run / "log.csv").read_text().splitlines()
    assert "foreground_share" in header and len(lines) == 2
    return np.array([line.split(",") for line in lines], float)


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys() and len(expected) > 15
    for path in expected:
        np.testing.assert_array_equal(found[path], expected[path], path)


def test_two_workers_are_two_devices_of_one_process(whole, photos, tmp_path):
    one = tmp_path / "one"
    argv = [*arguments(photos, one), "--devices=cpu:0,cpu:1"]
    runner.finish(*runner.start_in_process(runner.command, argv, tmp_path / "out.txt", cpus=2))
    assert_same_bits(state(one, STEPS), state(whole, STEPS))
    np.testing.assert_allclose(rows(one), rows(whole), rtol=1e-5)


@pytest.mark.parametrize(
    "detector",
    [{}, pytest.param(JOINT, marks=pytest.mark.slow)],
    ids=["given proposals", "joint training"],
)
def test_two_workers_take_the_steps_of_one_device(photos, tmp_path, detector):
    # Without dropout, whose masks are each device's own.
    changes = {"dropout": 0.0} | {
        k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in detector.items()
    }
    argv = arguments(photos, tmp_path / "two", **changes)
    if detector:
        argv = [a for a in argv if not a.startswith("--proposals=")]
    pair = Pair(argv, tmp_path)
    one = [a.replace(f"{tmp_path}/two", f"{tmp_path}/one") for a in argv]
    process = runner.start_in_process(runner.command, one, tmp_path / "one.txt")
    pair.finish(0, 0)
    runner.finish(*process)
    expected, found = state(tmp_path / "one", STEPS), state(tmp_path / "two", STEPS)
    for path in expected:
        limit = 1e-5 * np.abs(expected[path]).max()
        np.testing.assert_allclose(found[path], expected[path], rtol=0, atol=limit, err_msg=path)
    np.testing.assert_allclose(rows(tmp_path / "two"), rows(tmp_path / "one"), rtol=1e-4)


@pytest.mark.parametrize("asked", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_stops_all_after_the_same_step(whole, photos, tmp_path, asked):
    run = tmp_path / "run"
    pair = Pair(arguments(photos, run), tmp_path)
    pair.wait_for(6)
    pair.signal(asked, signal.SIGTERM)
    pair.finish(143, 143)
    (newest, *_) = checkpoint_paths(run)
    step = checkpoint_step(newest)
    assert 6 < step < STEPS
    for line in pair.last_lines():
        assert f"stopped by SIGTERM; step {step} of {STEPS} is saved" in line

    pair = Pair([*arguments(photos, run), "--resume"], tmp_path)
    assert pair.finish(0, 0) == [list(range(step, STEPS))] * 2
    assert_same_bits(state(run, STEPS), state(whole, STEPS))
    # Sums of metrics are shared out among the workers anew, which may round.
    np.testing.assert_allclose(rows(run), rows(whole), rtol=1e-6)


@pytest.mark.parametrize("killed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_worker_that_dies_ends_the_other_and_all_can_go_on(whole, photos, tmp_path, killed):
    # The same command begins a run that is not there and goes on with one that is.
    run, argv = tmp_path / "run", [*arguments(photos, tmp_path / "run"), "--resume"]
    pair = Pair(argv, tmp_path)
    pair.wait_for(8)
    pair.signal(killed, signal.SIGKILL)
    statuses = [75, 75]
    statuses[killed] = -signal.SIGKILL
    pair.finish(*statuses)
    last = pair.last_lines()[1 - killed]
    assert "has ended" in last and "start all of them again, with --resume" in last
    assert [checkpoint_step(path) for path in checkpoint_paths(run)] == [5]

    pair = Pair(argv, tmp_path)
    assert pair.finish(0, 0) == [list(range(5, STEPS))] * 2
    assert_same_bits(state(run, STEPS), state(whole, STEPS))


@pytest.mark.slow
def test_one_process_goes_on_with_a_run_of_two(photos, tmp_path):
    argv = arguments(photos, tmp_path / "run", dropout=0.0, steps=6)
    Pair(argv, tmp_path).finish(0, 0)
    alone = arguments(photos, tmp_path / "run", dropout=0.0)
    runner.finish(
        *runner.start_in_process(runner.command, [*alone, "--resume"], tmp_path / "one.txt")
    )
    whole = arguments(photos, tmp_path / "whole", dropout=0.0)
    runner.finish(*runner.start_in_process(runner.command, whole, tmp_path / "whole.txt"))
    expected, found = state(tmp_path / "whole", STEPS), state(tmp_path / "run", STEPS)
    for path in expected:
        limit = 1e-5 * np.abs(expected[path]).max()
        np.testing.assert_allclose(found[path], expected[path], rtol=0, atol=limit, err_msg=path)


@pytest.mark.parametrize(
    "other, what", [("--rate=0.02", "settings"), ("--checkpoint-every=4", "steps")]
)
def test_workers_that_would_train_different_things_are_refused(photos, tmp_path, other, what):
    pair = Pair(arguments(photos, tmp_path / "run"), tmp_path, [other])
    pair.finish(2, 2)
    for line in pair.last_lines():
        assert "worker 1 (127.0.0.1:" in line and f"has other {what} than the first" in line
    assert not checkpoint_paths(tmp_path / "run")


def validates_for_a_minute(argv, output):
    """`keras-frcnn` whose first validation takes 65 seconds more."""
    validate, pauses = Validation.validate, [65]

    def slow(self, step):
        while pauses:
            time.sleep(pauses.pop())
        validate(self, step)

    Validation.validate = slow
    runner.command(argv, output)


@pytest.mark.slow
def test_a_validation_of_a_minute_keeps_the_others_waiting(photos, tmp_path):
    run = tmp_path / "run"
    more = ["--validate=train", f"--validate-proposals={photos[1]}", "--validate-every=6"]
    pair = Pair([*arguments(photos, run), *more], tmp_path, command=validates_for_a_minute)
    assert pair.finish(0, 0) == [list(range(STEPS))] * 2
    found = [line.split(",")[0] for line in (run / "validation.csv").read_text().splitlines()]
    assert found == ["step", "6", "12"]
    assert sorted(map(checkpoint_step, checkpoint_paths(run))) == [6, 10, 12]
