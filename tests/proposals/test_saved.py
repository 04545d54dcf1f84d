import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.saved import load_proposals, save_proposals


def dataset(*names, width=50, height=40):
    records = tuple(ImageRecord(name, name, height, width) for name in names)
    return Dataset("voc/2007:trainval", ("cat",), records)


def mat_file(path, names, boxes):
    """As `voc_2007_trainval.mat`: cells `images` [n, 1] and `boxes` [1, n]."""
    image_cells = np.empty((len(names), 1), object)
    box_cells = np.empty((1, len(boxes)), object)
    image_cells[:, 0] = names
    for i, array in enumerate(boxes):
        box_cells[0, i] = np.asarray(array, np.uint16).reshape(-1, 4)
    scipy.io.savemat(path, {"images": image_cells, "boxes": box_cells})
    return path


def test_mat_boxes_become_continuous_xyxy(tmp_path):
    # Rows (y1, x1, y2, x2), 1-based inclusive, of an image 50 wide and 40 high: the whole image,
    # the top left pixel, and rows 11..20 of columns 3..5.
    path = mat_file(
        tmp_path / "ss.mat",
        ["000007", "000005", "000009"],
        [[[1, 1, 1, 1]], [[1, 1, 40, 50], [1, 1, 1, 1], [11, 3, 20, 5]], np.zeros((0, 4))],
    )
    found = load_proposals(path, dataset("000005.jpg", "000007.jpg", "000009.jpg"))
    np.testing.assert_array_equal(found[0], [[0, 0, 50, 40], [0, 0, 1, 1], [2, 10, 5, 20]])
    np.testing.assert_array_equal(found[1], [[0, 0, 1, 1]])
    assert found[2].shape == (0, 4)
    assert {boxes.dtype for boxes in found} == {np.dtype(np.float32)}


def test_a_mat_file_of_one_image(tmp_path):
    path = mat_file(tmp_path / "ss.mat", ["a"], [[[2, 3, 4, 5]]])
    np.testing.assert_array_equal(load_proposals(path, dataset("a.jpg")), [[[2, 1, 5, 4]]])


def test_npz_round_trip(tmp_path):
    data = dataset("a.jpg", "sub/b.png", "file", "é.jpg")
    proposals = [
        np.random.default_rng(i)
        .uniform([0, 0, 20, 20], [20, 20, 40, 40], (i, 4))
        .astype(np.float32)
        for i in range(4)
    ]
    path = tmp_path / "new" / "p.npz"
    save_proposals(path, data, proposals)
    save_proposals(path, data, proposals)
    for got, expected in zip(load_proposals(path, data), proposals, strict=True):
        np.testing.assert_array_equal(got, expected.astype(np.float32))
    assert [p.name for p in path.parent.iterdir()] == ["p.npz"]
    with np.load(path) as plain:  # an ordinary .npz
        np.testing.assert_array_equal(plain["a.jpg"], proposals[0])


def test_npz_keys_without_extension_other_types_and_more_images(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, a=np.int64([[1, 2, 3, 4]]), b=np.float64([[0, 0, 5.5, 5]]), other=[[0, 0, 9, 9]])
    found = load_proposals(path, dataset("b.jpg", "a.jpg"))
    np.testing.assert_array_equal(found, [[[0, 0, 5.5, 5]], [[1, 2, 3, 4]]])
    assert found[1].dtype == np.float32


def test_boxes_a_little_over_the_border_are_clipped(tmp_path):
    np.savez(tmp_path / "p.npz", a=[[-1, -0.5, 51, 41]])
    found = load_proposals(tmp_path / "p.npz", dataset("a.jpg"))
    np.testing.assert_array_equal(found, [[[0, 0, 50, 40]]])


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([0, 0, np.nan, 5], "not finite"),
        ([0, 0, np.inf, 5], "not finite"),
        ([9, 0, 5, 5], "inverted"),
        ([5, 0, 5, 5], "empty"),
        ([0, 7, 5, 6], "inverted"),
        ([0, 0, 500, 5], "outside the image"),
        ([0, -9, 5, 5], "outside the image"),
        ([50.5, 0, 51.5, 5], "outside the image"),
    ],
)
def test_a_bad_box_is_named(tmp_path, row, what):
    np.savez(tmp_path / "p.npz", a=[[0, 0, 5, 5], row], b=[[0, 0, 5, 5]])
    with pytest.raises(InputError, match=rf"p\.npz.*a\.jpg, row 1.*{what}"):
        load_proposals(tmp_path / "p.npz", dataset("b.jpg", "a.jpg"))


@pytest.mark.parametrize("array", [np.zeros(4), np.zeros((3, 5)), np.array([["a"] * 4])])
def test_a_bad_array_is_named(tmp_path, array):
    np.savez(tmp_path / "p.npz", a=array)
    with pytest.raises(InputError, match=r"a\.jpg have shape"):
        load_proposals(tmp_path / "p.npz", dataset("a.jpg"))


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_missing_images_are_named(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    if suffix == ".npz":
        np.savez(path, b=[[0, 0, 5, 5]])
    else:
        mat_file(path, ["b"], [[[1, 1, 5, 5]]])
    with pytest.raises(InputError, match=r"no proposals for a\.jpg and 1 more images"):
        load_proposals(path, dataset("b.jpg", "a.jpg", "c.jpg"))


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
@pytest.mark.parametrize("content", [None, b"", b"garbage" * 100, b"PK\x03\x04 cut off"])
def test_unreadable_files_are_named(tmp_path, suffix, content):
    path = tmp_path / f"p{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"p\{suffix}.*cannot be read"):
        load_proposals(path, dataset("a.jpg"))


def test_a_damaged_npz_is_named(tmp_path):
    path = tmp_path / "p.npz"
    save_proposals(path, dataset("a.jpg"), [np.random.default_rng(0).random((500, 4))])
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz"):
        load_proposals(path, dataset("a.jpg"))


def test_pickles_are_not_loaded(tmp_path):
    np.savez(tmp_path / "p.npz", a=np.array([{"a": 1}], object))
    with pytest.raises(InputError, match=r"p\.npz"):
        load_proposals(tmp_path / "p.npz", dataset("a.jpg"))


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path):
    """A few kilobytes that say they hold 3 GB of boxes; nothing else of the file is looked at."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (100_000_000, 4)}
    )
    path = tmp_path / "p.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(100_000))
        archive.writestr("other.npy", b"no array")
    with pytest.raises(InputError, match=r"p\.npz: .*a\.npy holds float64 .*at most 100000"):
        load_proposals(path, dataset("a.jpg"))


def test_a_mat_file_of_something_else(tmp_path):
    scipy.io.savemat(tmp_path / "p.mat", {"images": np.zeros(3)})
    with pytest.raises(InputError, match="boxes"):
        load_proposals(tmp_path / "p.mat", dataset("a.jpg"))
    mat_file(tmp_path / "p.mat", ["a", "b"], [[[1, 1, 2, 2]]])
    with pytest.raises(InputError, match="2 images but 1 boxes"):
        load_proposals(tmp_path / "p.mat", dataset("a.jpg"))


def test_other_extensions(tmp_path):
    with pytest.raises(InputError, match=r"\.npz and \.mat"):
        load_proposals(tmp_path / "p.json", dataset("a.jpg"))
    with pytest.raises(InputError, match=r"\.npz"):
        save_proposals(tmp_path / "p.mat", dataset("a.jpg"), [np.zeros((0, 4))])


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    data, path = dataset("a.jpg"), tmp_path / "p.npz"
    save_proposals(path, data, [np.float32([[0, 0, 5, 5]])])

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(KeyboardInterrupt):
        save_proposals(path, data, [np.float32([[0, 0, 6, 6]])])
    monkeypatch.undo()
    assert [p.name for p in Path(tmp_path).iterdir()] == ["p.npz"]
    np.testing.assert_array_equal(load_proposals(path, data), [[[0, 0, 5, 5]]])


def test_images_in_sub_folders_and_with_any_name(tmp_path):
    images = dataset("cam1/f0.jpg", "cam2/f0.jpg", r"caf\xe9.jpg")
    boxes = [np.float32([[i, 0, i + 5, 5]]) for i in range(3)]
    save_proposals(tmp_path / "p.npz", images, boxes)
    for found, expected in zip(load_proposals(tmp_path / "p.npz", images), boxes, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_one_entry_for_two_images_is_ambiguous(tmp_path):
    images = dataset("a.jpg", "a.png")
    np.savez(tmp_path / "p.npz", a=np.float32([[0, 0, 5, 5]]))
    with pytest.raises(InputError, match=r"several images .* called 'a' but for their extension"):
        load_proposals(tmp_path / "p.npz", images)
