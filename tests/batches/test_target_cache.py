from dataclasses import replace

import numpy as np
import pytest

from keras_frcnn.batches import target_statistics as target_cache
from keras_frcnn.batches.target_statistics import cached_target_statistics, fingerprint
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_cache_folder
from tests.batches.test_targets import record

RECORDS = (record([[0, 0, 20, 10]], [1]), record([[10, 10, 30, 50], [0, 0, 9, 9]], [2, 1]))
DATASET = Dataset("d", ("a", "b"), RECORDS)
PROPOSALS = [
    np.array([[0, 0, 16, 10], [2, 0, 20, 10]], np.float32),
    np.array([[10, 10, 30, 40]], np.float32),
]


@pytest.fixture
def computed(monkeypatch, tmp_path):
    """Counts the computations, with an empty cache."""
    monkeypatch.setattr(target_cache, "make_cache_folder", make_cache_folder)
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path))
    calls = []

    def count(*args):
        calls.append(args)
        return compute(*args)

    compute = target_cache.target_statistics
    monkeypatch.setattr(target_cache, "target_statistics", count)
    return calls


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype == np.float32


def files(tmp_path):
    return sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())


def test_the_second_time_nothing_is_computed(computed, tmp_path):
    first = cached_target_statistics(ImageSet(DATASET, PROPOSALS))
    assert_same(cached_target_statistics(ImageSet(DATASET, PROPOSALS)), first)
    # The same boxes under another name and in other files are the same training set.
    moved = replace(DATASET, name="e", images=tuple(replace(r, path="b") for r in RECORDS))
    assert_same(cached_target_statistics(ImageSet(moved, PROPOSALS)), first)
    assert len(computed) == 1
    assert [p.parent.name for p in files(tmp_path)] == ["targets"]


def changed(index, **change):
    images = list(RECORDS)
    images[index] = replace(images[index], **change)
    return replace(DATASET, images=tuple(images))


@pytest.mark.parametrize(
    "dataset, proposals, fg_iou",
    [
        (changed(0, boxes=np.array([[0, 0, 20, 11]], np.float32)), PROPOSALS, 0.5),
        (changed(1, labels=np.array([1, 2], np.int32)), PROPOSALS, 0.5),
        (changed(1, is_difficult=np.array([False, True])), PROPOSALS, 0.5),
        (replace(DATASET, class_names=("a", "b", "c")), PROPOSALS, 0.5),
        (DATASET, [PROPOSALS[0], PROPOSALS[1] + 1], 0.5),
        (DATASET, [np.concatenate(PROPOSALS), np.zeros((0, 4), np.float32)], 0.5),
        (replace(DATASET, images=RECORDS[::-1]), PROPOSALS[::-1], 0.5),
        (DATASET, PROPOSALS, 0.6),
    ],
)
def test_any_change_of_the_boxes_has_another_fingerprint(dataset, proposals, fg_iou):
    changed = fingerprint(ImageSet(dataset, proposals), fg_iou)
    assert changed != fingerprint(ImageSet(DATASET, PROPOSALS), 0.5)


def test_damaged_files_are_replaced_with_a_word(computed, tmp_path):
    expected = cached_target_statistics(ImageSet(DATASET, PROPOSALS))
    (path,) = (tmp_path / "targets").iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(np.ascontiguousarray(expected[1]).tobytes()) + 5] ^= 255
    damaged = [b"", b"no archive", whole[: len(whole) // 2], bytes(flipped)]
    for count, content in enumerate(damaged, 2):
        path.write_bytes(content)
        with pytest.warns(UserWarning, match=f"{path.name} is damaged"):
            assert_same(cached_target_statistics(ImageSet(DATASET, PROPOSALS)), expected)
        assert len(computed) == count
        assert path.read_bytes() == whole
    np.savez(path, mean=expected[0][:1], std=expected[1][:1])
    with pytest.warns(UserWarning, match=r"\(1, 4\)"):
        assert_same(cached_target_statistics(ImageSet(DATASET, PROPOSALS)), expected)
    assert_same(cached_target_statistics(ImageSet(DATASET, PROPOSALS)), expected)
    assert len(computed) == 6


def test_an_interrupted_write_leaves_nothing(computed, tmp_path, monkeypatch):
    def interrupted(file, **arrays):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target_cache.np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_target_statistics(ImageSet(DATASET, PROPOSALS))
    assert files(tmp_path) == [] and not any((tmp_path / "targets").iterdir())


def test_a_cache_that_cannot_be_written_is_named(computed, tmp_path):
    (tmp_path / "targets").write_text("a file")
    with pytest.raises(InputError, match="targets"):
        cached_target_statistics(ImageSet(DATASET, PROPOSALS))


def test_a_large_set_is_represented_by_a_sample(computed, monkeypatch):
    whole = ImageSet(DATASET, PROPOSALS)
    monkeypatch.setattr(ImageSet, "sample", lambda self: ImageSet(sampled, PROPOSALS[1:]))
    sampled = replace(DATASET, images=RECORDS[1:])
    assert_same(
        cached_target_statistics(whole),
        target_cache.target_statistics(ImageSet(sampled, PROPOSALS[1:])),
    )
