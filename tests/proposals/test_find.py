import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.image_keys import image_key
from keras_frcnn.errors import InputError
from keras_frcnn.proposals import find as find_module
from keras_frcnn.proposals.cache import ProposalCache
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.selective_search import SelectiveSearch

BCCD = Path(__file__).parents[2].parent / "shared" / "data" / "bccd"


@dataclass(frozen=True)
class CornerColour:
    """A method whose boxes tell the image: the first pixel's colour and the image's shape."""

    cache_key: str = "corner colour"

    def __call__(self, image):
        assert "tensorflow" not in sys.modules
        print("libraries may print")
        height, width = image.shape[:2]
        return np.float32([[*image[0, 0], 0], [0, 0, width, height]])


class Exits:
    cache_key = "exits"

    def __call__(self, image):
        os._exit(3)


def make_dataset(folder, count=7, orientation=1):
    records = []
    for i in range(count):
        path = folder / f"image {i}.png"
        Image.new("RGB", (8 + i, 6), (i, 2 * i, 100)).save(path)
        records.append(ImageRecord(path.name, str(path), 6, 8 + i, orientation))
    return Dataset("things:all", ("thing",), tuple(records))


@pytest.mark.parametrize("processes", [1, 3])
def test_proposals_are_in_the_order_of_the_images(tmp_path, processes):
    dataset = make_dataset(tmp_path)
    found = find_proposals(dataset, CornerColour(), processes, False, tmp_path / "c.sqlite")
    for i, boxes in enumerate(found):
        assert boxes.dtype == np.float32
        np.testing.assert_array_equal(boxes, [[i, 2 * i, 100, 0], [0, 0, 8 + i, 6]])


def test_images_are_searched_upright(tmp_path):
    dataset = make_dataset(tmp_path, 1, orientation=6)
    found = find_proposals(dataset, CornerColour(), 1, False, tmp_path / "c.sqlite")
    assert found[0][1].tolist() == [0, 0, 6, 8]


def test_only_what_is_missing_is_searched(tmp_path, monkeypatch):
    cache = tmp_path / "c.sqlite"
    dataset = make_dataset(tmp_path)
    half = Dataset("half", dataset.class_names, dataset.images[:4])
    first = find_proposals(half, CornerColour(), 2, False, cache)
    searched = []
    search = find_module._search
    monkeypatch.setattr(
        find_module,
        "_search",
        lambda missing, *rest: searched.append(len(missing)) or search(missing, *rest),
    )
    found = find_proposals(dataset, CornerColour(), 2, False, cache)
    assert searched == [3]
    np.testing.assert_array_equal(found[:4], first)
    again = find_proposals(dataset, CornerColour(), 2, False, cache)
    assert searched == [3]
    np.testing.assert_array_equal(again, found)
    find_proposals(dataset, CornerColour("other parameters"), 2, False, cache)
    assert searched == [3, 7]


def test_the_default_is_fast_selective_search_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    dataset = make_dataset(tmp_path, 2)
    found = find_proposals(dataset, progress=False)
    np.testing.assert_array_equal(found[1], [[0, 0, 9, 6]])
    with ProposalCache(tmp_path / "cache" / "proposals" / "things.sqlite") as cache:
        key = image_key(dataset.images[1])
        np.testing.assert_array_equal(cache.get(key, SelectiveSearch().cache_key), found[1])


def test_an_empty_data_set_and_images_of_equal_content(tmp_path):
    assert find_proposals(Dataset("none", ("a",), ()), cache_path=tmp_path / "c.sqlite") == []
    record = make_dataset(tmp_path, 1).images[0]
    twice = Dataset("twice", ("a",), (record, record))
    found = find_proposals(twice, CornerColour(), 2, False, tmp_path / "c.sqlite")
    np.testing.assert_array_equal(found[0], found[1])


def test_an_unreadable_image_is_named_and_the_finished_are_kept(tmp_path):
    dataset = make_dataset(tmp_path)
    Path(dataset.images[5].path).write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"image 5\.png"):
        find_proposals(dataset, CornerColour(), 1, False, tmp_path / "c.sqlite")
    with ProposalCache(tmp_path / "c.sqlite") as cache:
        stored = [cache.get(image_key(r), "corner colour") is not None for r in dataset.images]
    assert stored[:5] == [True] * 5 and not stored[5]


def test_a_process_that_dies_names_the_image(tmp_path):
    with pytest.raises(InputError, match=r"image 0\.png.*exit status 3"):
        find_proposals(make_dataset(tmp_path, 1), Exits(), 1, False, tmp_path / "c.sqlite")


def test_processes_must_be_positive(tmp_path):
    with pytest.raises(InputError, match="processes"):
        find_proposals(make_dataset(tmp_path, 1), CornerColour(), 0)


def test_progress_counts_what_is_searched(tmp_path, capfd):
    dataset = make_dataset(tmp_path, 3)
    find_proposals(dataset, CornerColour(), 1, True, tmp_path / "c.sqlite")
    assert "proposals: 3 images in " in capfd.readouterr().err
    find_proposals(dataset, CornerColour(), 1, True, tmp_path / "c.sqlite")
    assert capfd.readouterr().err == ""


# A script as users write it: no guard around the main part.
SCRIPT = """
import sys, time
from pathlib import Path
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.proposals.find import find_proposals
from tests.proposals.test_find import SlowFromThird
folder = Path(sys.argv[1])
records = [ImageRecord(p.name, str(p), 6, 8) for p in sorted(folder.glob("*.png"))]
find_proposals(Dataset("d", ("a",), tuple(records)), SlowFromThird(str(folder)), 2, False,
               folder / "c.sqlite")
"""


@dataclass(frozen=True)
class SlowFromThird:
    """Finishes the images 0 and 1; then leaves a file with the process id and sleeps."""

    folder: str
    cache_key: str = "slow"

    def __call__(self, image):
        if image[0, 0, 0] >= 2:
            Path(self.folder, f"{os.getpid()}.pid").touch()
            time.sleep(3 if image[0, 0, 0] >= 4 else 600)
        return np.float32([[0, 0, 1, 1]])


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody collects orphans, a dead one stays as a zombie.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_search_keeps_what_is_finished_and_leaves_no_process(tmp_path, sent):
    dataset = make_dataset(tmp_path, 4 if sent == signal.SIGINT else 6)
    if sent == signal.SIGKILL:  # nobody can end the children then: they must find out themselves
        for record in dataset.images[2:4]:
            Path(record.path).unlink()
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    children = [int(path.stem) for path in tmp_path.glob("*.pid")]
    with ProposalCache(tmp_path / "c.sqlite") as cache:
        keys = [image_key(record) for record in dataset.images[:2]]
        wait_until(lambda: all(cache.get(key, "slow") is not None for key in keys))
    assert all(map(is_running, children))
    script.send_signal(sent)
    stderr = script.communicate(timeout=60)[1]
    assert script.returncode != 0
    if sent == signal.SIGINT:
        assert "KeyboardInterrupt" in stderr
    wait_until(lambda: not any(map(is_running, children)))
    with ProposalCache(tmp_path / "c.sqlite") as cache:
        assert all(cache.get(key, "slow") is not None for key in keys)


@pytest.mark.skipif(not BCCD.exists(), reason=f"needs the photographs in {BCCD}")
def test_real_photographs(tmp_path):
    paths = sorted((BCCD / "JPEGImages").glob("*.jpg"))[:2]
    records = tuple(ImageRecord(p.name, str(p), 480, 640) for p in paths)
    found = find_proposals(Dataset("cells", ("a",), records), cache_path=tmp_path / "c.sqlite")
    for boxes in found:
        assert 300 < len(boxes) <= 2000
        assert (boxes[:, 2:] - boxes[:, :2] >= SelectiveSearch().min_size).all()
        assert (boxes >= 0).all() and (boxes <= [640, 480, 640, 480]).all()
        assert len(np.unique(boxes, axis=0)) == len(boxes)
