"""Images known by content: when a file is read again, and what a damaged index costs."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from keras_frcnn.data import image_keys as module
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.image_keys import image_keys
from keras_frcnn.errors import InputError

CONTENTS = {"a.jpg": b"1", "b.jpg": b"22", "c.jpg": b"333"}
OLD = time.time_ns() - 60 * 10**9


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Three files that were written a minute ago, and an empty cache."""
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_SETTLED", -1)  # the change of status cannot be set back
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(OLD, OLD))
    records = (ImageRecord(name, str(tmp_path / name), 1, 1, 1) for name in CONTENTS)
    return Dataset("d", ("a",), tuple(records))


@pytest.fixture
def reads(monkeypatch):
    """The names of the images that are read."""
    read, seen = Path.read_bytes, []

    def counted(self):
        if self.suffix == ".jpg":
            seen.append(self.name)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    return seen


def expected(**changed):
    contents = CONTENTS | {f"{name}.jpg": content for name, content in changed.items()}
    return [f"{hashlib.sha256(content).hexdigest()}-1" for content in contents.values()]


def index(tmp_path):
    (path,) = (tmp_path / "cache" / "images").iterdir()
    return path


def test_files_are_read_once(dataset, reads):
    assert image_keys(dataset) == expected()
    assert reads == list(CONTENTS)
    assert image_keys(dataset) == expected()
    assert reads == list(CONTENTS)


@pytest.mark.parametrize("keeps_time", [False, True])
@pytest.mark.parametrize("content", [b"99", b"999"])
def test_a_changed_file_is_read_again(dataset, reads, tmp_path, keeps_time, content):
    image_keys(dataset)
    reads.clear()
    (tmp_path / "b.jpg").write_bytes(content)
    if keeps_time:  # as `cp -p` does; the time of its last change of status tells
        os.utime(tmp_path / "b.jpg", ns=(OLD, OLD))
    assert image_keys(dataset) == expected(b=content)
    assert image_keys(dataset) == expected(b=content)
    assert reads == ["b.jpg"]


def test_a_file_of_this_moment_is_read_again(dataset, reads, monkeypatch, tmp_path):
    # Written twice within a step of the file system's clock it would look the same.
    monkeypatch.setattr(module, "_SETTLED", 3600 * 10**9)
    for _ in range(2):
        assert image_keys(dataset) == expected()
    assert reads == 2 * list(CONTENTS)
    assert not list((tmp_path / "cache").glob("images/*"))


def test_a_file_that_is_gone_is_named_and_those_before_it_stay_known(dataset, reads, tmp_path):
    (tmp_path / "c.jpg").unlink()
    with pytest.raises(InputError, match=r"c\.jpg: the image cannot be read \(No such file"):
        image_keys(dataset)
    (tmp_path / "c.jpg").write_bytes(CONTENTS["c.jpg"])
    assert image_keys(dataset) == expected()
    assert reads == list(CONTENTS)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:-1],
        lambda b: b"",
        lambda b: b.replace(b"a.jpg", b"b.jpg"),
        lambda b: b.partition(b"\n")[2],
    ],
)
def test_a_damaged_index_is_made_again(dataset, reads, tmp_path, change):
    image_keys(dataset)
    index(tmp_path).write_bytes(change(index(tmp_path).read_bytes()))
    with pytest.warns(UserWarning, match="is damaged and made again"):
        assert image_keys(dataset) == expected()
    assert reads == 2 * list(CONTENTS)
    assert image_keys(dataset) == expected()
    assert reads == 2 * list(CONTENTS)


def test_without_a_cache_folder_all_is_read_and_said(dataset, reads, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="read again next time: cannot make the folder"):
        assert image_keys(dataset) == expected()


def test_names_that_are_no_text_are_known(dataset, reads, tmp_path):
    name = os.fsdecode(b"\xff \n.jpg")
    (tmp_path / name).write_bytes(b"4")
    odd = Dataset("\udcff", ("a",), (ImageRecord(name, str(tmp_path / name), 1, 1, 6),))
    for _ in range(2):
        assert image_keys(odd) == [f"{hashlib.sha256(b'4').hexdigest()}-6"]
    assert reads == [name]
