"""Data sets, weights and exports at URLs, by fsspec's file system in memory."""

import os

import fsspec
import numpy as np
import pytest

from keras_frcnn import remote
from keras_frcnn.data.load import load
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder
from keras_frcnn.proposals.cache import default_cache_path
from keras_frcnn.proposals.saved import load_proposals, save_proposals
from keras_frcnn.remote import fetched, is_remote, names_in, sent
from keras_frcnn.runs.directory import load_settings
from tests.images import random_proposals
from tests.tiny import tiny_dataset


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A file system in memory, and an empty cache folder."""
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.fixture
def fetches(monkeypatch):
    """The names of the files that are fetched."""
    seen, fetch = [], remote._fetch

    def noted(files, root, target, names, url):
        seen.extend(names)
        fetch(files, root, target, names, url)

    monkeypatch.setattr(remote, "_fetch", noted)
    return seen


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "path, expected",
    [
        ("gs://b/x", True),
        ("s3://b", True),
        ("memory://", True),
        ("file:///tmp", True),
        ("zip://a::file:///b.zip", True),
        ("/tmp/gs://x", False),
        ("C:\\photos", False),
        ("c://photos", False),
        ("voc/2007:trainval+voc/2012:trainval", False),
        ("photos", False),
    ],
)
def test_urls(path, expected):
    assert is_remote(path) == expected


def test_a_folder_is_copied_and_only_changes_are_copied_again(bucket, fetches):
    for name in ("photos/a.txt", "photos/deep/er/b.txt", "photos/c.txt", "photosets/d.txt"):
        bucket.pipe(f"/bucket/{name}", name.encode())
    folder = fetched("memory://bucket/photos")
    assert folder.name == "photos"
    expected = {n: f"photos/{n}".encode() for n in ("a.txt", "deep/er/b.txt", "c.txt")}
    assert content(folder) == expected
    assert sorted(fetches) == sorted(expected)
    fetches.clear()
    assert fetched("memory://bucket/photos") == folder
    assert not fetches
    bucket.pipe("/bucket/photos/c.txt", b"PHOTOS/c.txt")  # as long as before
    bucket.rm("/bucket/photos/a.txt")
    os.unlink(folder / "deep/er/b.txt")
    fetched("memory://bucket/photos/")  # another URL has a copy of its own
    fetches.clear()
    assert content(fetched("memory://bucket/photos")) == {
        "c.txt": b"PHOTOS/c.txt",
        "deep/er/b.txt": expected["deep/er/b.txt"],
    }
    assert sorted(fetches) == ["c.txt", "deep/er/b.txt"]


def test_a_single_file(bucket, fetches):
    bucket.pipe("/bucket/w.h5", b"weights")
    path = fetched("memory://bucket/w.h5")
    assert path.name == "w.h5" and path.read_bytes() == b"weights"
    assert fetched("memory://bucket/w.h5") == path and fetches == [""]


def test_what_was_fetched_before_an_error_is_not_fetched_again(bucket, fetches, monkeypatch):
    monkeypatch.setattr(remote, "_AT_ONCE", 1)
    for name in "abc":
        bucket.pipe(f"/bucket/x/{name}", name.encode())
    get, left = bucket.get, [1, 1]

    def failing(*args):
        if not left:
            raise ConnectionResetError("reset by peer")
        left.pop()
        get(*args)

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "get", staticmethod(failing))
        with pytest.raises(InputError, match=r"memory://bucket/x: cannot be read \(reset by peer"):
            fetched("memory://bucket/x")
    fetches.clear()
    assert len(content(fetched("memory://bucket/x"))) == 3
    assert fetches == ["c"]


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt"])
def test_names_that_lead_out_of_the_folder_are_refused(bucket, tmp_path, name):
    bucket.store[f"/bucket/x/{name}"] = bucket.store.get("/y") or _file(bucket)
    with pytest.raises(InputError, match="which has no place in a folder"):
        fetched("memory://bucket/x")
    assert not list(tmp_path.rglob("out.txt"))


def _file(bucket):
    bucket.pipe("/y", b"")
    return bucket.store["/y"]


@pytest.mark.parametrize(
    "url, message",
    [
        ("memory://bucket/none", "holds no files|cannot be read"),
        ("nosuch://bucket/x", "cannot be read .*[Pp]rotocol"),
    ],
)
def test_what_cannot_be_had_is_named(bucket, url, message):
    with pytest.raises(InputError, match=f"^{url}: ({message})"):
        fetched(url)


def test_a_data_set_is_that_of_its_copy(bucket, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    records = tiny_dataset(folder).images
    lines = [f"{r.filename},{','.join(map(str, b))},one" for r in records for b in r.boxes]
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    bucket.put(str(folder), "/bucket/photos", recursive=True)
    here, there = load(str(folder), "train"), load("memory://bucket/photos", "train")
    assert there.name == "memory://bucket/photos:train"
    named = load("memory://bucket/photos:train")
    assert [r.path for r in named.images] == [r.path for r in there.images]
    for a, b in zip(here.images, there.images, strict=True):
        assert (a.filename, a.height, a.width) == (b.filename, b.height, b.width)
        np.testing.assert_array_equal(a.boxes, b.boxes)
    assert default_cache_path(there).name == "memory-bucket-photos.sqlite"

    proposals = random_proposals(here)
    save_proposals(tmp_path / "p.npz", here, proposals)
    bucket.put(str(tmp_path / "p.npz"), "/bucket/p.npz")
    for a, b in zip(load_proposals("memory://bucket/p.npz", there), proposals, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_sent_ends_with_the_files_at_the_top(bucket, monkeypatch):
    order, put = [], bucket.put_file

    def noted(lpath, rpath, **kwargs):
        order.append(rpath)
        put(lpath, rpath, **kwargs)

    monkeypatch.setattr(type(bucket), "put_file", staticmethod(noted))
    with sent("memory://bucket/models/") as folder:
        (folder / "1" / "variables").mkdir(parents=True)
        (folder / "1" / "saved_model.pb").write_bytes(b"graph")
        (folder / "1" / "variables" / "data").write_bytes(b"numbers")
    assert [name.rpartition("bucket/")[2] for name in order] == [
        "models/1/variables/data",
        "models/1/saved_model.pb",
    ]
    assert bucket.cat("/bucket/models/1/saved_model.pb") == b"graph"
    assert names_in("memory://bucket/models") == ["1"]
    assert names_in("memory://bucket/nothing") == []
    with pytest.raises(ZeroDivisionError), sent("memory://bucket/other") as folder:
        (folder / "x").write_bytes(b"")
        raise ZeroDivisionError
    assert names_in("memory://bucket/other") == []


def test_runs_are_local(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    for call in (make_folder, load_settings):
        with pytest.raises(InputError, match="must be in a local folder"):
            call(Path("gs://bucket/run"))
    assert not list(tmp_path.iterdir())
