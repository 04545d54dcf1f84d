"""What ends a training early: signals, divergence, files that vanish, a full disk."""

import os
import resource
import signal
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_frcnn.batches.examples import batch_records
from keras_frcnn.batches.pipeline import batches_for, training_dataset
from keras_frcnn.cli import __main__ as cli
from keras_frcnn.cli import commands
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.runs.checkpoints import checkpoint_paths, checkpoint_step, read_checkpoint
from keras_frcnn.training import fit as training
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.callbacks import StepDecay
from keras_frcnn.training.fit import train
from tests.images import colored_rectangles, random_proposals
from tests.tiny import add_trunk, tiny_dataset, tiny_settings


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    dataset = tiny_dataset(folder)
    return ImageSet(dataset, random_proposals(dataset))


@pytest.fixture
def at_step(monkeypatch):
    """`at_step(3, act)` calls `act` before mini-batch 3 (from 0); `seen` has (step, rate)."""
    actions = {}

    class Acting(training.StepCallbacks):
        def on_train_batch_begin(self, batch, logs=None):
            step = int(self.model.optimizer.iterations.numpy())
            if step in actions:
                actions.pop(step)()
            super().on_train_batch_begin(batch, logs)
            rate = float(self.model.optimizer.learning_rate.numpy())
            act.seen.append((step, pytest.approx(rate)))

    def act(step, action):
        actions[step] = action

    act.seen = []
    monkeypatch.setattr(training, "StepCallbacks", Acting)
    return act


def steps_of(run):
    return [checkpoint_step(path) for path in checkpoint_paths(run)]


def assert_loadable(run):
    for path in checkpoint_paths(run):
        model = read_checkpoint(path, compile=True)
        assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_the_step_and_saves_and_resume_goes_on(data, tmp_path, at_step, number):
    settings = tiny_settings(steps=6, decay_at=(4,))
    handler = signal.getsignal(number)
    at_step(2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match=f"{number.name}; step 3 .*--resume") as stopped:
        train(tmp_path / "run", data, settings)
    assert stopped.value.number == number
    assert steps_of(tmp_path / "run") == [3]
    assert signal.getsignal(number) is handler

    fed = []
    whole = batches_for

    def watched(*args):
        fed.append(next(iter(whole(*args))))
        return whole(*args)

    training.batches_for, at_step.seen[:] = watched, []
    try:
        train(tmp_path / "run", data, settings, resume=True)
    finally:
        training.batches_for = whole
    assert at_step.seen == [(3, 0.01), (4, 0.001), (5, 0.001)]
    fourth = list(training_dataset(data, (103.939, 116.779, 123.68), settings).take(4))[3]
    np.testing.assert_array_equal(fed[0][0]["images"], fourth[0]["images"])
    np.testing.assert_array_equal(fed[0][1]["cls_score"], fourth[1]["cls_score"])


def test_second_signal_stops_at_once(data, tmp_path, at_step):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(2, twice)
    with pytest.raises(KeyboardInterrupt) as stopped:
        train(tmp_path / "run", data, tiny_settings(steps=6), checkpoint_every=1)
    assert not isinstance(stopped.value, Interrupted)
    assert steps_of(tmp_path / "run") == [2, 1]


def test_command_line_exits_with_the_status_of_the_signal(monkeypatch, capsys):
    def interrupted(args):
        raise Interrupted(signal.SIGTERM, "stopped by SIGTERM; go on with --resume")

    monkeypatch.setattr(commands, "train", interrupted)
    assert cli.main(["train", "--data", "x", "--out", "y"]) == 128 + 15
    assert "train: stopped by SIGTERM; go on with --resume" in capsys.readouterr().err


def test_divergence_names_step_and_images_and_leaves_the_checkpoints(data, tmp_path, monkeypatch):
    def rate_at(self, step):
        return 0.01 if step < 3 else 1e30

    monkeypatch.setattr(StepDecay, "rate_at", rate_at)
    with pytest.raises(InputError, match=r"loss is (nan|inf) at step 5") as diverged:
        train(tmp_path / "run", data, tiny_settings(steps=9), checkpoint_every=3)
    for record in batch_records(data.dataset, 4, tiny_settings()):
        assert record.filename in str(diverged.value)
    assert steps_of(tmp_path / "run") == [3]
    assert_loadable(tmp_path / "run")


def test_weights_that_are_no_numbers_are_not_saved(data, tmp_path, monkeypatch):
    """The loss of a mini-batch is that of the weights before its update."""

    def rate_at(self, step):
        return 0.01 if step < 3 else np.inf

    monkeypatch.setattr(StepDecay, "rate_at", rate_at)
    with pytest.raises(InputError, match="weights or momentum are not finite at step 4"):
        train(tmp_path / "run", data, tiny_settings(steps=4), checkpoint_every=2)
    assert steps_of(tmp_path / "run") == [2]
    assert_loadable(tmp_path / "run")


def test_vanished_image_is_named(data, tmp_path, at_step):
    gone = [Path(record.path) for record in data.dataset.images[::2]]
    at_step(3, lambda: [path.unlink() for path in gone])
    with pytest.raises(InputError, match="there is no such image") as vanished:
        train(tmp_path / "run", data, tiny_settings(steps=1000), checkpoint_every=1)
    last = at_step.seen[-1][0]
    missing = [
        r.path
        for r in batch_records(data.dataset, last, tiny_settings())
        if not Path(r.path).exists()
    ]
    message = str(vanished.value)
    assert message.startswith(f"step {last + 1} ")
    assert any(path in message for path in missing)
    assert steps_of(tmp_path / "run") == [last, last - 1, last - 2]
    assert_loadable(tmp_path / "run")


def test_image_that_tensorflow_alone_refuses_is_named(data, tmp_path, at_step):
    """Replaced by a format that Pillow reads, as are some JPEG files with damaged tables."""
    paths = [record.path for record in data.dataset.images]
    at_step(1, lambda: [Image.open(path).save(path, "TIFF") for path in paths])
    with pytest.raises(InputError, match=r"cannot read its images. .*\.png: TensorFlow cannot"):
        train(tmp_path / "run", data, tiny_settings(steps=1000))


def test_sums_of_another_training_are_named(data, tmp_path):
    train(tmp_path / "run", data, tiny_settings(steps=2))
    (path,) = checkpoint_paths(tmp_path / "run")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"[1.0]" if name == "sums.json" else content)
    with pytest.raises(InputError, match=r"sums\.json in the newest checkpoint has 1 numbers"):
        train(tmp_path / "run", data, tiny_settings(steps=4), resume=True)


def test_full_disk_leaves_the_checkpoints(data, tmp_path, at_step):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = 20_000  # of a file; a checkpoint is larger
    at_step(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1])))
    try:
        with pytest.raises(InputError, match=r"step-00000004\.keras: .*File too large"):
            train(tmp_path / "run", data, tiny_settings(steps=6), checkpoint_every=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps_of(tmp_path / "run") == [2]
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000002.keras"]
    assert_loadable(tmp_path / "run")


def test_no_retracing_with_images_of_many_sizes(tmp_path, monkeypatch):
    sizes = [(60 + 3 * i, 90 - 4 * i) for i in range(8)]
    dataset = colored_rectangles(tmp_path, sizes, [[(5, 5, 40, 40)]] * len(sizes))
    images = ImageSet(dataset, random_proposals(dataset))
    model = build_and_compile(images, tiny_settings())
    batches = training_dataset(images, (0.0, 0.0, 0.0), tiny_settings())
    assert len({tuple(x["images"].shape) for x, _ in batches.take(8)}) > 3
    traced, after_step = [], []
    layer = model.get_layer("roi_pool")
    pool = layer.call
    monkeypatch.setattr(layer, "call", lambda *args: traced.append(1) or pool(*args))
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: after_step.append(len(traced))
    )
    model.fit(batches, shuffle=False, steps_per_epoch=8, callbacks=[count], verbose=0)
    # Twice in the first step, which makes the metrics' variables; never again.
    assert after_step == [2] * 8
