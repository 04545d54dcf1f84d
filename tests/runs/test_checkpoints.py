"""Checkpoints of a small model: written whole, the newest kept, the damaged passed over."""

import resource
import subprocess
import sys
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.runs import directory as runs
from keras_frcnn.runs.checkpoints import (
    DamagedCheckpoint,
    checkpoint_path,
    checkpoint_paths,
    is_finite,
    read_checkpoint,
    read_sums,
    remove_leftovers,
    save_checkpoint,
)
from keras_frcnn.settings import Settings
from keras_frcnn.training.optimizer import SGD

X, Y = np.ones((4, 5), np.float32), np.zeros((4, 3), np.float32)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    model.compile(SGD(0.01), "mse", jit_compile=False)
    return model


@pytest.fixture(scope="module")
def detector():
    """An untrained detector and its settings."""
    settings = Settings("data", "", ("one", "two"), trunk="squeezenet", fc_units=(8, 8))
    model = FastRCNN(("one", "two"), settings.trunk, None, fc_units=settings.fc_units)
    model.compile(SGD(0.01), "mse", jit_compile=False)
    return model, settings


def save_at(run, model, step, keep=3):
    model.optimizer.iterations.assign(step)
    return save_checkpoint(run, model, keep)


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_newest_are_kept(model, tmp_path):
    for step in (5, 10, 99_999_999, 100_000_000):  # the last has a digit more
        save_at(tmp_path, model, step, keep=2)
    assert names(tmp_path) == ["step-100000000.keras", "step-99999999.keras"]
    assert checkpoint_paths(tmp_path)[0] == checkpoint_path(tmp_path, 100_000_000)
    save_at(tmp_path, model, 100_000_001, keep=1)
    assert names(tmp_path) == ["step-100000001.keras"]


def test_checkpoints_of_later_steps_do_not_outlive_the_one_training_went_on_from(model, tmp_path):
    for step in (5, 10, 15):
        save_at(tmp_path, model, step)
    save_at(tmp_path, model, 12)
    assert names(tmp_path) == [f"step-{step:08d}.keras" for step in (5, 10, 12)]


def test_sums_behind_the_means_are_kept(model, tmp_path):
    loss = model.train_on_batch(X, Y)
    path = save_checkpoint(tmp_path, model, 1)
    assert read_sums(path) == [4 * loss, 4.0]  # Keras counts examples


def test_full_disk_leaves_the_earlier_checkpoints(model, tmp_path):
    whole = save_at(tmp_path, model, 1)
    content = whole.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, hard))
    try:
        with pytest.raises(InputError, match=r"step-00000002\.keras: .*File too large"):
            save_at(tmp_path, model, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == [whole.name]
    assert whole.read_bytes() == content


def flip_a_weight(path):
    """Change one bit of the weights, which leaves a file that can be read."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        weights = archive.getinfo("model.weights.h5")
    kernel = read_checkpoint(path).get_weights()[0].tobytes()
    content[content.index(kernel, weights.header_offset)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        flip_a_weight,
    ],
    ids=["half", "empty", "bit"],
)
def test_damaged_checkpoint_is_named(model, tmp_path, damage):
    path = save_at(tmp_path, model, 7)
    damage(path)
    with pytest.raises(DamagedCheckpoint, match=r"step-00000007\.keras"):
        read_checkpoint(path)


def test_leftovers_of_a_killed_save_are_removed(model, tmp_path):
    save_at(tmp_path, model, 7)
    folder = tmp_path / "checkpoints"
    for name in (".step-00000008.partial.keras", ".0123456789abcdef.partial.keras"):
        (folder / name).write_bytes(b"half")
        (tmp_path / name).write_bytes(b"half")  # a best model
    (folder / "tmpab12cd_3").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["notes.txt", "step-00000007.keras"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_and_momentum_are_looked_at(model, bad):
    model.train_on_batch(X, Y)
    assert is_finite(model)
    for variable in (model.layers[0].kernel, model.optimizer.momentums[1]):
        good = variable.numpy()
        value = good.copy()
        value.flat[-1] = bad
        variable.assign(value)
        assert not is_finite(model)
        variable.assign(good)
    assert is_finite(model)


def test_each_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, detector, capsys):
    model, settings = detector
    model.optimizer.build(model.trainable_variables)
    for step in (1, 2, 3):
        save_at(tmp_path, model, step)
    whole = {path: path.read_bytes() for path in checkpoint_paths(tmp_path)}
    for step in (3, 2):
        path = checkpoint_path(tmp_path, step)
        path.write_bytes(whole[path][:1000])
    loaded = runs.load_checkpoint(tmp_path, settings, compile=True)
    assert int(loaded.optimizer.iterations.numpy()) == 1
    told = capsys.readouterr().err.splitlines()
    assert "step-00000003.keras: is damaged" in told[0]
    assert "step-00000002.keras instead" in told[0]
    assert "step-00000001.keras instead" in told[1]

    checkpoint_path(tmp_path, 1).write_bytes(b"")
    with pytest.raises(InputError, match=r"step-00000001\.keras"):
        runs.load_checkpoint(tmp_path, settings)


@pytest.mark.parametrize("where", ["open", "load"])
def test_what_is_no_damage_stops_and_touches_nothing(tmp_path, detector, monkeypatch, where):
    """A checkpoint that cannot be read for another reason must not give way to an older one."""
    model, settings = detector
    model.optimizer.build(model.trainable_variables)
    for step in (1, 2):
        model.optimizer.iterations.assign(step)
        save_checkpoint(tmp_path, model, keep=9)
    before = {p: p.read_bytes() for p in checkpoint_paths(tmp_path)}

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    name = "Path.open" if where == "open" else "keras.saving.load_model"
    with monkeypatch.context() as patch:
        patch.setattr(f"keras_frcnn.runs.checkpoints.{name}", refuse)
        with pytest.raises(
            InputError, match=r"step-00000002\.keras: .*Permission denied"
        ) as caught:
            runs.load_checkpoint(tmp_path, settings)
    assert not isinstance(caught.value, DamagedCheckpoint)
    assert {p: p.read_bytes() for p in checkpoint_paths(tmp_path)} == before


def test_an_archive_that_is_no_model_is_damage(tmp_path):
    path = tmp_path / "step-00000001.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(DamagedCheckpoint, match=r"it has no metadata\.json"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content", [None, "{", "[1, null]", '{"a": 1}', "[NaN]", "[true]", "[" * 100_000]
)
def test_sums_that_are_none_are_named(model, tmp_path, content):
    model.optimizer.iterations.assign(3)
    path = save_checkpoint(tmp_path, model, keep=1)
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            if name != "sums.json":
                new.writestr(name, old.read(name))
        if content is not None:
            new.writestr("sums.json", content)
    with pytest.raises(InputError, match=r"other\.keras: .*sums\.json"):
        read_sums(other)


def test_checkpoint_of_another_model_is_refused_and_not_passed_over(tmp_path, detector):
    model, settings = detector
    save_at(tmp_path, model, 1)
    save_at(tmp_path, model, 2)
    for change in ({"class_names": ("one", "two", "three")}, {"trunk": "vgg16"}):
        with pytest.raises(InputError, match=r"step-00000002\.keras: holds another model"):
            runs.load_checkpoint(tmp_path, replace(settings, **change))
    other = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    other.compile(SGD(0.01), "mse", jit_compile=False)
    save_at(tmp_path, other, 3)
    with pytest.raises(InputError, match="another model"):
        runs.load_checkpoint(tmp_path, settings)


def test_whatever_was_imported_first_the_layers_of_all_detectors_are_known():
    """TensorFlow imports Keras half-way and passes over what cannot be imported by then."""
    code = (
        "import keras_frcnn, tensorflow, keras_frcnn.runs.checkpoints, keras\n"
        "print(*keras.saving.get_custom_objects())"
    )
    known = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    layers = ("RoIPool", "SampleRoIs", "CarryTargets", "Propose", "TakeAnchors", "DetectionModel")
    assert {f"keras_frcnn>{name}" for name in layers} <= set(known)
