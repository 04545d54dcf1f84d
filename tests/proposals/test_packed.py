"""Proposals in a file instead of in memory: the same boxes, and no half or foreign ones."""

import dataclasses
import os

import numpy as np
import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.proposals import packed as packed_module
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.packed import digest_of, kept, packed
from keras_frcnn.proposals.saved import load_proposals, save_proposals
from tests.images import colored_rectangles, random_proposals

WHOLE = [
    np.float32([[0, 0, 3, 4], [1, 2, 65535, 4]]),
    np.zeros((0, 4), np.float32),
    np.float32([[5, 6, 7, 8]]),
    np.zeros((0, 4), np.float32),
]
# What 16 bits cannot hold, at every place of the list.
REAL = [np.float32([row]) for row in ([0, 0, 0.5, 1], [-1, 0, 1, 1], [0, 0, 65536, 1])]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A cache of its own, where lists of more than two images are long."""
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packed_module, "LARGE", 2)


def files(tmp_path):
    return {p.name: p for p in (tmp_path / "cache").rglob("*") if p.is_file()}


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == b.shape and a.dtype == np.float32 and a.flags.writeable


@pytest.mark.parametrize("real", [[], *([box] for box in REAL), REAL])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_is_packed_is_read(tmp_path, real, place):
    arrays = [*WHOLE[:place], *real, *WHOLE[place:]]
    found = kept("d", len(arrays), lambda: iter(arrays))
    assert_equal(found, arrays)
    assert_equal(packed("d", len(arrays)), arrays)
    assert_equal(found[-3:], arrays[-3:])
    assert_equal([found[-1]], arrays[-1:])
    with pytest.raises(IndexError):
        found[len(arrays)]
    rows, size = sum(map(len, arrays)), 16 if real else 8
    assert files(tmp_path)["d.boxes"].stat().st_size == rows * size
    assert len(files(tmp_path)) == 2


def test_short_lists_stay_in_memory(tmp_path):
    found = kept("d", 2, lambda: iter(WHOLE[:2]))
    assert isinstance(found, list)
    assert_equal(found, WHOLE[:2])
    assert not files(tmp_path)


def test_other_lists_are_not_taken():
    kept("d", 4, lambda: iter(WHOLE))
    assert packed("e", 4) is None
    with pytest.warns(UserWarning, match="does not fit"):
        assert packed("d", 5) is None


@pytest.mark.parametrize("name", ["d.boxes", "d.offsets.npy"])
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b""])
def test_damaged_files_are_not_taken(tmp_path, name, change):
    kept("d", 4, lambda: iter(WHOLE))
    path = files(tmp_path)[name]
    changed = change(path.read_bytes())
    path.write_bytes(changed)
    if name == "d.offsets.npy" and changed.endswith(b"x"):
        assert_equal(packed("d", 4), WHOLE)  # what follows an array is none of its numbers
        return
    with pytest.warns(UserWarning, match=r"d\.(boxes|offsets\.npy) .* made again"):
        assert packed("d", 4) is None


def test_a_file_lost_or_cut_off_in_use_is_named(tmp_path):
    found = kept("d", 4, lambda: iter(WHOLE))
    path = files(tmp_path)["d.boxes"]
    os.truncate(path, 20)
    assert_equal([found[1]], WHOLE[1:2])
    with pytest.raises(InputError, match=r"d\.boxes: was cut off; delete it"):
        found[2]
    path.unlink()
    with pytest.raises(InputError, match=r"d\.boxes: cannot be read \(No such file"):
        found[0]


def test_what_fails_while_it_is_packed_leaves_nothing(tmp_path):
    def arrays():
        yield from WHOLE[:2]
        raise InputError("the cache is damaged")

    with pytest.raises(InputError, match="the cache is damaged"):
        kept("d", 4, arrays)
    assert not files(tmp_path)


def test_digests_tell_lists_apart():
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ("\udcff",)]
    assert len({digest_of(texts) for texts in lists}) == len(lists)


@dataclasses.dataclass(frozen=True)
class Quarters:
    """A search whose boxes are not whole numbers."""

    cache_key: str = "quarters"

    def __call__(self, image):
        return np.float32([[0, 0, image.shape[1] / 4, image.shape[0] / 4]])


def test_a_search_packs_what_it_found_and_looks_there_first(tmp_path):
    dataset = colored_rectangles(tmp_path, [(20, 30), (50, 41), (33, 20)], [[(1, 1, 9, 9)]] * 3)
    first = find_proposals(dataset, Quarters(), 1, False)
    assert_equal(first, [np.float32([[0, 0, r.width / 4, r.height / 4]]) for r in dataset.images])
    for path in (tmp_path / "cache" / "proposals").iterdir():
        path.unlink()
    again = find_proposals(dataset, Quarters(), 1, False)
    assert_equal(again, first)
    assert not list((tmp_path / "cache" / "proposals").iterdir())  # not even opened


def test_a_file_of_proposals_is_packed_until_it_changes(tmp_path):
    dataset = colored_rectangles(tmp_path, [(20, 30), (50, 41), (33, 20)], [[(1, 1, 9, 9)]] * 3)
    proposals = random_proposals(dataset)
    path = tmp_path / "p.npz"
    save_proposals(path, dataset, proposals)
    assert_equal(load_proposals(path, dataset), proposals)
    assert len(files(tmp_path)) == 2
    assert_equal(load_proposals(path, dataset), proposals)
    assert len(files(tmp_path)) == 2
    save_proposals(path, dataset, [boxes[:5] for boxes in proposals])
    assert_equal(load_proposals(path, dataset), [boxes[:5] for boxes in proposals])
    # Boxes are cut to the images: those of other sizes are another list.
    wider = [dataclasses.replace(r, width=r.width + 7) for r in dataset.images]
    load_proposals(path, dataclasses.replace(dataset, images=tuple(wider)))
    assert len(files(tmp_path)) == 6
    assert ImageSet(dataset, load_proposals(path, dataset)).sample(2).dataset.images
