"""Two processes that want to train in one run directory."""

import errno
import os
import subprocess
import sys

import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.runs.lock import only_training

HOLD = """
import sys, time
from pathlib import Path
from keras_frcnn.runs.lock import only_training
with only_training(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_training_is_refused_until_the_first_is_killed(other, tmp_path):
    with pytest.raises(InputError, match="another process is training in it"):
        with only_training(tmp_path):
            pass
    other.kill()
    other.wait()
    with only_training(tmp_path):
        pass


def test_the_lock_is_free_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), only_training(tmp_path):
            raise KeyboardInterrupt


def test_trainings_take_the_lock(other, tmp_path, monkeypatch):
    from keras_frcnn.training.fit import train
    from tests.images import random_proposals
    from tests.tiny import add_trunk, tiny_dataset, tiny_settings

    add_trunk(monkeypatch)
    dataset = tiny_dataset(tmp_path)
    with pytest.raises(InputError, match="another process is training in it"):
        train(tmp_path, ImageSet(dataset, random_proposals(dataset)), tiny_settings())
    assert not (tmp_path / "config.json").exists()


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(InputError, match=r"cannot lock .*\.lock"), only_training(tmp_path):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with (
        pytest.raises(InputError, match=r"cannot lock .*\.lock.*No locks"),
        only_training(tmp_path),
    ):
        pass
