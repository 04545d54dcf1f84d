"""The reader of .mat files against SciPy's writer, and on files that are none."""

import struct

import numpy as np
import pytest
import scipy.io

from keras_frcnn.proposals.mat import read_mat

HEADER = bytes(124) + b"\0\1IM"


def saved(path, content, **options):
    scipy.io.savemat(path, content, **options)
    return path.read_bytes()


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


@pytest.mark.parametrize("do_compression", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "i8", "f4", "f8"])
def test_numbers_of_any_type_and_shape(tmp_path, dtype, do_compression):
    arrays = [np.arange(6).reshape(2, 3), np.zeros((0, 4)), np.array([[7]]), np.arange(40)[:, None]]
    cells = np.empty((1, len(arrays)), object)
    cells[0] = [array.astype(dtype) for array in arrays]
    content = saved(tmp_path / "a.mat", {"boxes": cells}, do_compression=do_compression)
    (found,) = read_mat(content).values()
    for values, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(values.reshape(array.shape), array)
        assert values.dtype == np.float64


def test_texts(tmp_path):
    names = ["a", "000005", "żółw", "with space"]
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    content = saved(tmp_path / "a.mat", {"images": cells, "alone": "text"})
    assert read_mat(content) == {"images": names, "alone": "text"}


def test_the_other_order_of_bytes():
    """As old workstations wrote: the same elements, every number turned round."""

    def big(kind, data):
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    matrix = big(6, struct.pack(">II", 6, 0)) + big(5, struct.pack(">ii", 1, 2)) + big(1, b"x")
    matrix += big(9, struct.pack(">dd", 1.5, -2.0))
    found = read_mat(bytes(124) + b"\1\0MI" + big(14, matrix))
    np.testing.assert_array_equal(found["x"], [[1.5, -2.0]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\0\0\0", "cut off"),
        (element(14, b"")[:4] + struct.pack("<I", 800), "cut off"),
        (element(7, bytes(8)), "type 7, not a variable"),
        (element(14, bytes(64)), "no flags"),
    ],
)
def test_damaged_elements(body, message):
    with pytest.raises(ValueError, match=message):
        read_mat(HEADER + body)


@pytest.mark.parametrize("kind", [0, 8, 10, 20, 255])
def test_types_that_are_none(kind):
    """SciPy ends with a segmentation fault."""
    matrix = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", 1, 1))
    matrix += element(1, b"x") + element(kind, bytes(8))
    with pytest.raises(ValueError, match=f"type {kind}, which is none"):
        read_mat(HEADER + element(14, matrix))


def test_another_format():
    for content in (b"", b"MATLAB 7.3", bytes(200)):
        with pytest.raises(ValueError, match=r"no \.mat file of level 5"):
            read_mat(content)
