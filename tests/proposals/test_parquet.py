import sys

import numpy as np
import pytest

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.parquet import (
    ProposalRow,
    from_parquet,
    packed_boxes,
    read_shards,
    to_parquet,
    unpacked_boxes,
)
from keras_frcnn.proposals.saved import load_proposals

pytest.importorskip("pyarrow")


def boxes_of(seed, count=3):
    corners = np.random.default_rng(seed).uniform(0, 30, (count, 2, 2))
    return np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)


def row(path, seed=0, count=3):
    return ProposalRow(path, "f" * 64, "search", 40, 50, packed_boxes(boxes_of(seed, count)))


def shards(folder, *parts):
    """A folder with a shard for each list of rows."""
    for n, rows in enumerate(parts):
        path = folder / f"proposals-{n:05d}-of-{len(parts):05d}.parquet"
        path.write_bytes(to_parquet(rows))
    return folder


def dataset(*names):
    return Dataset("photos", ("cat",), tuple(ImageRecord(name, name, 40, 50) for name in names))


def test_rows_come_back_to_the_bit_and_files_are_the_same_each_time():
    rows = [row("gs://b/żółw.jpg"), row("/a b/c.png", 1, 1), row("d", 2, 0)]
    content = to_parquet(rows)
    assert content == to_parquet(rows)
    assert from_parquet(content, "") == rows
    assert from_parquet(to_parquet([]), "") == []
    for i, count in enumerate((3, 1, 0)):
        boxes = unpacked_boxes(rows[i], "")
        assert boxes.dtype == np.float32
        np.testing.assert_array_equal(boxes, boxes_of(i, count))


def test_images_are_known_by_the_end_of_their_paths(tmp_path):
    folder = shards(
        tmp_path, [row("gs://b/x/1.jpg", 1), row("gs://b/y/1.jpg", 2)], [], [row("gs://b/2.jpg", 3)]
    )
    found = read_shards(folder, {"x/1.jpg", "y/1.jpg", "2.jpg", "1", "3.jpg"})
    assert set(found) == {"x/1.jpg", "y/1.jpg", "2.jpg"}
    assert len(found) == 3
    assert "3.jpg" not in found
    for name, seed in (("x/1.jpg", 1), ("y/1.jpg", 2), ("2.jpg", 3)):
        np.testing.assert_array_equal(found[name], boxes_of(seed))
    with pytest.raises(InputError, match=r"1\.jpg may be gs://b/x/1\.jpg or gs://b/y/1\.jpg"):
        read_shards(folder, {"1.jpg"})


def test_a_data_set_takes_its_images_from_a_folder(tmp_path):
    folder = shards(tmp_path, [row("/p/b.jpg", 1), row("/p/c.jpg", 2)], [row("/p/a.jpg", 3)])
    for boxes, seed in zip(load_proposals(folder, dataset("a.jpg", "b.jpg")), (3, 1), strict=True):
        np.testing.assert_array_equal(boxes, boxes_of(seed))
    with pytest.raises(InputError, match=r"has no proposals for d\.jpg"):
        load_proposals(folder, dataset("a.jpg", "d.jpg"))


def test_folders_that_are_not_complete_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no shards of proposals"):
        load_proposals(tmp_path, dataset("a.jpg"))
    shards(tmp_path, [row("a.jpg")], [], [])
    (tmp_path / "proposals-00001-of-00003.parquet").unlink()
    with pytest.raises(InputError, match="1 of 3 shards of proposals are missing, the first"):
        load_proposals(tmp_path, dataset("a.jpg"))
    shards(tmp_path, [row("a.jpg")])
    with pytest.raises(InputError, match="of different works, of 1 and of 3 shards"):
        load_proposals(tmp_path, dataset("a.jpg"))


def test_damaged_files_are_named(tmp_path):
    (path,) = shards(tmp_path, [row("a.jpg")]).iterdir()
    content = path.read_bytes()
    for damaged in (b"", content[:-9], content[: len(content) // 2], b"PAR1" + bytes(100)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"{path.name}: cannot be read as Parquet"):
            load_proposals(tmp_path, dataset("a.jpg"))
    for boxes in (b"no zlib", packed_boxes(np.zeros((1, 3), np.float32))):
        path.write_bytes(to_parquet([row("a.jpg")._replace(boxes=boxes)]))
        with pytest.raises(InputError, match=r"the boxes of a\.jpg are damaged"):
            load_proposals(tmp_path, dataset("a.jpg"))


def test_without_pyarrow_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    shards(tmp_path, [row("a.jpg")])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r"pip install 'keras-frcnn\[beam\]'"):
        load_proposals(tmp_path, dataset("a.jpg"))
