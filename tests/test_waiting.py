"""Long waits are told, short ones are not."""

import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from keras_frcnn import waiting
from keras_frcnn.files import locked
from keras_frcnn.proposals.cache import ProposalCache
from keras_frcnn.waiting import telling_of_waits


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST", 0.2)
    monkeypatch.setattr(waiting, "EVERY", 0.3)


def test_a_long_wait_is_told_again_and_again(impatient, capsys):
    with telling_of_waits("reading x"):
        time.sleep(1.0)
    said = capsys.readouterr().err.splitlines()
    assert len(said) >= 2 and all(line.startswith("reading x takes long (") for line in said)
    time.sleep(0.5)
    assert not capsys.readouterr().err


def test_a_short_wait_is_not_told(capsys):
    with telling_of_waits("reading x"):
        pass
    assert not capsys.readouterr().err


def test_nothing_waits_for_more_than_a_minute_without_a_word():
    assert 0 < waiting.FIRST <= 60 and 0 < waiting.EVERY <= 60


# The children let go when they are told to.
HOLD = """
import sys
from pathlib import Path
from keras_frcnn.files import locked
with locked(Path(sys.argv[1]), wait=True):
    print("held", flush=True)
    sys.stdin.read()
"""
WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
connection.execute("COMMIT")
"""


@contextmanager
def held_until_told(program, path, monkeypatch):
    """Another process has `path` until this one has said that it waits; yields what it says."""
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"

        def tell(message, **_):
            said.append(message)
            process.stdin.close()

        monkeypatch.setattr(waiting, "print", tell, raising=False)
        yield said


def test_a_wait_for_a_lock_names_it(tmp_path, impatient, monkeypatch):
    path = tmp_path / "a.lock"
    with held_until_told(HOLD, path, monkeypatch) as said, locked(path, wait=True):
        pass
    assert said[0].startswith(f"getting the lock {path} (another process has it")


def test_a_wait_for_the_proposal_cache_names_it(tmp_path, impatient, monkeypatch):
    path = tmp_path / "c.sqlite"
    with ProposalCache(path) as cache:
        with held_until_told(WRITE, path, monkeypatch) as said:
            cache.put("image", "method", [[0, 0, 1, 1]])
        assert cache.get("image", "method").tolist() == [[0, 0, 1, 1]]
    assert said[0].startswith(f"writing to {path} (another process writes")
