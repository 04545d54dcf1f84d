"""Proposals on Beam: those of `find_proposals`, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from keras_frcnn.bulk import storage
from keras_frcnn.bulk.jobs import bulk_proposals, read_failures
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.images import open_image, read_header
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.parquet import from_parquet, unpacked_boxes
from keras_frcnn.proposals.saved import load_proposals
from keras_frcnn.proposals.selective_search import SelectiveSearch
from tests.bulk.conftest import FAILED, needs_processes

METHOD = SelectiveSearch(min_size=5)


def data_set(paths):
    """The images as the project's own search takes them."""
    records = []
    for path in paths:
        height, width = open_image(path).shape[:2]
        orientation = read_header(path).orientation
        records.append(ImageRecord(Path(path).name, str(path), height, width, orientation))
    return Dataset("photos", ("thing",), tuple(records))


def rows_of(folder):
    rows = []
    for path in sorted(folder.glob("proposals-*.parquet")):
        rows += from_parquet(path.read_bytes(), str(path))
    return rows


@pytest.fixture(scope="module")
def found(listed, tmp_path_factory):
    """The work, done by threads of this process."""
    out = tmp_path_factory.mktemp("out") / "proposals"
    options = ["--direct_running_mode", "multi_threading", "--direct_num_workers", "2"]
    return out, bulk_proposals(str(listed), str(out), METHOD, 3, options)


@pytest.fixture(scope="module")
def expected(found, tmp_path_factory):
    """What `find_proposals` finds in the images that can be read."""
    dataset = data_set([row.path for row in rows_of(found[0])])
    cache = tmp_path_factory.mktemp("cache") / "cache.sqlite"
    return dataset, find_proposals(dataset, METHOD, 2, False, cache)


def test_all_images_have_a_row_or_a_failure(found, listed):
    out, result = found
    assert result.shards == 4
    assert result.counters == {"images": 7, "failed": 3, "shards": 4}
    paths = [row.path for row in rows_of(out)]
    assert paths == sorted(paths)
    failed = {Path(f["path"]).name: f["error"] for f in result.failures}
    assert failed.keys() == FAILED.keys()
    for name, reason in FAILED.items():
        assert reason in failed[name]
    names = listed.read_text("utf-8").split("\n")[:-1]
    assert sorted([*paths, *(f["path"] for f in result.failures)]) == sorted(names)


def test_boxes_are_those_of_find_proposals_to_the_bit(found, expected):
    dataset, proposals = expected
    rows = rows_of(found[0])
    assert len(rows) == 7
    for row, record, boxes in zip(rows, dataset.images, proposals, strict=True):
        assert unpacked_boxes(row, "").tobytes() == boxes.tobytes()
        assert (row.height, row.width) == (record.height, record.width)
        assert row.method == METHOD.cache_key
    sizes = {Path(row.path).name: (row.height, row.width) for row in rows}
    assert sizes["side.jpg"] == (80, 60)
    assert sizes["a.jpg"] == (60, 80)


def test_the_output_feeds_training(found, expected):
    dataset, proposals = expected
    loaded = load_proposals(found[0], dataset)
    for boxes, own in zip(loaded, proposals, strict=True):
        np.testing.assert_array_equal(boxes, own)


@needs_processes
def test_processes_write_the_same_bytes(found, listed, tmp_path):
    options = ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
    result = bulk_proposals(str(listed), str(tmp_path / "out"), METHOD, 3, options)
    assert result.counters == found[1].counters
    assert contents(tmp_path / "out") == contents(found[0])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@dataclass(frozen=True)
class Slow:
    """A search that takes its time."""

    cache_key: str = "slow"

    def __call__(self, image):
        time.sleep(0.3)
        return np.float32([[0, 0, *image.shape[1::-1]]])


START = """import sys
from keras_frcnn.bulk.jobs import bulk_proposals
from tests.bulk.test_proposals import Slow
bulk_proposals(sys.argv[1], sys.argv[2], Slow(), 2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_work_goes_on_with_the_shards_that_are_missing(listed, tmp_path, number):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    bulk_proposals(str(listed), str(whole), Slow(), 2)
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(listed), str(stopped)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not list(stopped.glob("proposals-*")):
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode
    done = {path: path.stat().st_mtime_ns for path in stopped.glob("proposals-*")}
    assert 1 <= len(done) < 5
    (stopped / ".partial-of-a-dead-process").write_bytes(b"half")
    result = bulk_proposals(str(listed), str(stopped), Slow(), 2)
    assert result.counters["shards"] == 5 - len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert contents(stopped) == contents(whole)
    again = bulk_proposals(str(listed), str(stopped), Slow(), 2)
    assert again.counters == {}
    assert again.failures == result.failures
    assert len(again.failures) == 3


def test_failures_are_written_before_the_shard_counts_as_done(listed, tmp_path, monkeypatch):
    write = storage.write

    def dies(path, content):
        if "proposals-" in path:
            raise OSError("the disk is full")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", dies)
        with pytest.raises(Exception, match="the disk is full"):
            bulk_proposals(str(listed), str(tmp_path / "out"), METHOD, 100)
    assert len(read_failures(str(tmp_path / "out"))) == 3
    assert not list((tmp_path / "out").glob("proposals-*"))
    result = bulk_proposals(str(listed), str(tmp_path / "out"), METHOD, 100)
    assert result.counters["failed"] == len(result.failures) == 3


def test_failures_of_an_earlier_attempt_are_taken_back(photos, tmp_path):
    name = tmp_path / "late.jpg"
    (tmp_path / "l.txt").write_text(f"{photos / 'a.jpg'}\n{name}\n")
    arguments = str(tmp_path / "l.txt"), str(tmp_path / "out"), Slow()
    assert len(bulk_proposals(*arguments).failures) == 1
    name.write_bytes((photos / "e.png").read_bytes())
    assert len(bulk_proposals(*arguments).failures) == 1  # done is done
    (tmp_path / "out" / "proposals-00000-of-00001.parquet").unlink()
    assert not bulk_proposals(*arguments).failures


@dataclass(frozen=True)
class Dies:
    """Ends its process where the image is grey, as a search that takes too much memory does."""

    cache_key: str = "dies"

    def __call__(self, image):
        if len(image) == 60 and (image[..., 0] == image[..., 1]).all():
            os.kill(os.getpid(), signal.SIGKILL)
        return np.float32([[0, 0, *image.shape[1::-1]]])


def test_an_image_whose_search_dies_takes_nobody_along(listed, tmp_path):
    result = bulk_proposals(str(listed), str(tmp_path / "out"), Dies(), 100)
    failed = {Path(f["path"]).name: f["error"] for f in result.failures}
    assert failed.keys() == FAILED.keys() | {"grey.png"}
    assert "run out of memory" in failed["grey.png"]
    assert result.counters["images"] == 6


@dataclass(frozen=True)
class Broken:
    """A search that works nowhere."""

    cache_key: str = "broken"

    def __call__(self, image):
        raise InputError("there is no such library")


def test_a_machine_that_cannot_search_makes_no_image_fail(listed, tmp_path):
    with pytest.raises(Exception, match="no such library"):
        bulk_proposals(str(listed), str(tmp_path / "out"), Broken(), 100)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["job.json"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("none/*.jpg", r"none/\*\.jpg: there are no images"),
        ("none.txt", r"none\.txt: cannot be read"),
        ("nonsense://a/*.jpg", "cannot be listed"),
    ],
)
def test_inputs_that_hold_nothing_are_named(images, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        bulk_proposals(images, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_another_work_is_refused(found, listed):
    out = found[0]
    job = json.loads((out / "job.json").read_text())
    assert job["images"] == 10
    with pytest.raises(InputError, match="another method"):
        bulk_proposals(str(listed), str(out), SelectiveSearch(min_size=6), 3)
    with pytest.raises(InputError, match="another number of images: 3, not 4"):
        bulk_proposals(str(listed), str(out), METHOD, 4)
