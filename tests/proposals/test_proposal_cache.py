import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.image_keys import image_key
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.cache import ProposalCache, default_cache_path

BOXES = np.float32([[0, 0.5, 10.25, 20], [3, 4, 5, 6.125]])


def test_what_is_put_is_got(tmp_path):
    path = tmp_path / "new folder" / "c.sqlite"
    with ProposalCache(path) as cache:
        assert cache.get("image", "method") is None
        cache.put("image", "method", BOXES)
        cache.put("image", "other", BOXES[:0])
    with ProposalCache(path) as cache:
        got = cache.get("image", "method")
        np.testing.assert_array_equal(got, BOXES)
        assert got.dtype == np.float32 and got.flags.writeable
        assert cache.get("image", "other").shape == (0, 4)
        assert cache.get("image 2", "method") is None
        cache.put("image", "method", BOXES[:1])
        np.testing.assert_array_equal(cache.get("image", "method"), BOXES[:1])


def test_images_are_known_by_content_and_orientation(tmp_path):
    for name, content in (("a.jpg", b"1"), ("b.jpg", b"1"), ("c.jpg", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c, turned = (
        image_key(ImageRecord(name, str(tmp_path / name), 1, 1, orientation))
        for name, orientation in (("a.jpg", 1), ("b.jpg", 1), ("c.jpg", 1), ("a.jpg", 6))
    )
    assert a == b
    assert len({a, c, turned}) == 3


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg.*cannot be read"):
        image_key(ImageRecord("gone.jpg", str(tmp_path / "gone.jpg"), 1, 1))


def test_the_splits_of_a_data_set_share_a_file_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "my cells"
    folder.mkdir()

    def path(name):
        return default_cache_path(Dataset(name, ("a",), ()))

    assert path("voc/2007:trainval") == tmp_path / "cache" / "proposals" / "voc-2007.sqlite"
    assert path("voc/2007:test") == path("voc/2007:trainval+voc/2012:trainval")
    assert path(f"{folder}:train") == tmp_path / "cache" / "proposals" / "my-cells.sqlite"
    monkeypatch.chdir(folder)
    assert path(".") == path(str(folder))
    assert path("../..").parent == path("shapes").parent


def _foreign_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def _cache_of_another_format(path):
    ProposalCache(path).__exit__()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"no database, but long enough to look like one" * 100),
        _foreign_database,
        _cache_of_another_format,
    ],
)
def test_a_file_that_is_no_cache_is_named_and_left_alone(tmp_path, make):
    path = tmp_path / "c.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"c\.sqlite.*delete the file"):
        ProposalCache(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("blob", [b"garbage", __import__("zlib").compress(b"x" * 15)])
def test_a_damaged_row_is_found(tmp_path, blob):
    path = tmp_path / "c.sqlite"
    with ProposalCache(path) as cache:
        cache.put("image", "method", BOXES)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE proposals SET boxes = ?", (blob,))
    connection.commit()
    connection.close()
    with ProposalCache(path) as cache, pytest.raises(InputError, match=r"c\.sqlite.*delete"):
        cache.get("image", "method")


def test_damage_inside_the_database_is_found(tmp_path):
    path = tmp_path / "c.sqlite"
    with ProposalCache(path) as cache:
        for i in range(300):
            cache.put(f"image {i}", "method", np.random.default_rng(i).random((200, 4)))
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"c\.sqlite.*delete"), ProposalCache(path) as cache:
        for i in range(300):
            cache.get(f"image {i}", "method")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"c\.sqlite.*cannot be used"):
        ProposalCache(tmp_path / "file" / "c.sqlite")


WRITER = """
import sys
import numpy as np
from keras_frcnn.proposals.cache import ProposalCache
path, name, count = sys.argv[1:]
with ProposalCache(path) as cache:
    for i in range(int(count)):
        cache.put(f"{name} {i}", "method", np.full((500, 4), i, np.float32))
        print(i, flush=True)
"""


def _writer(path: Path, name: str, count: int):
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_a_cache(tmp_path):
    path = tmp_path / "c.sqlite"
    writers = [_writer(path, name, 40) for name in "abc"]  # they also race to create the file
    assert [w.communicate() and w.returncode for w in writers] == [0, 0, 0]
    with ProposalCache(path) as cache:
        for name in "abc":
            for i in range(40):
                assert (cache.get(f"{name} {i}", "method") == i).all()


def test_a_kill_loses_nothing_that_was_stored(tmp_path):
    path = tmp_path / "c.sqlite"
    for _ in range(3):
        writer = _writer(path, "a", 10**6)
        for _ in range(20):
            last = int(writer.stdout.readline())
        time.sleep(0.01)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        with ProposalCache(path) as cache:
            for i in range(last + 1):
                assert (cache.get(f"a {i}", "method") == i).all()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
