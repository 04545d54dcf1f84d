"""Weight files that are damaged, or made to do harm."""

import h5py
import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.models.hdf5 import read_hdf5


def write(path, names=("conv1", "bn1")):
    """Two layers as Keras Applications writes them; returns their arrays."""
    rng = np.random.default_rng(0)
    arrays = {
        "conv1": {"kernel:0": rng.random((3, 3, 3, 4)), "bias:0": rng.random(4)},
        "bn1": {name: rng.random(4) for name in ("gamma:0", "beta:0", "moving_mean:0")},
    }
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer, weights in arrays.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}".encode() for name in weights]
            for name, values in weights.items():
                group.create_dataset(f"{layer}/{name}", data=values.astype(np.float32))
    return arrays


def test_weights_come_in_the_order_of_their_names(tmp_path):
    arrays = write(tmp_path / "w.h5")
    found = read_hdf5(tmp_path / "w.h5")
    for layer, weights in arrays.items():
        for value, expected in zip(found[layer], weights.values(), strict=True):
            np.testing.assert_array_equal(value, expected.astype(np.float32))


def test_nothing_of_another_file_is_read(tmp_path):
    write(tmp_path / "other.h5")
    (tmp_path / "secret").write_bytes(np.full(4, 0.5, np.float32).tobytes())

    def changed(change):
        write(tmp_path / "w.h5")
        with h5py.File(tmp_path / "w.h5", "a") as file:
            change(file)
        with pytest.raises(InputError, match=r"w\.h5: .*not followed") as caught:
            read_hdf5(tmp_path / "w.h5")
        assert "\n" not in str(caught.value)

    def external_link(file):
        del file["bn1"]
        file["bn1"] = h5py.ExternalLink("other.h5", "/bn1")

    def soft_link(file):
        del file["conv1/conv1/bias:0"]
        file["conv1/conv1/bias:0"] = h5py.SoftLink("/bn1/bn1/beta:0")

    def external_storage(file):
        del file["conv1/conv1/bias:0"]
        file.create_dataset(
            "conv1/conv1/bias:0", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)]
        )

    def virtual(file):
        del file["conv1/conv1/bias:0"]
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "bn1/bn1/beta:0", (4,))
        file.create_virtual_dataset("conv1/conv1/bias:0", layout)

    for change in (external_link, soft_link, external_storage, virtual):
        changed(change)


@pytest.mark.parametrize(
    "values, message",
    [
        (np.array([1, np.nan, 0, 0], np.float32), "not finite"),
        (np.array([1, np.inf, 0, 0], np.float32), "not finite"),
        (np.ones(4, bool), "holds bool"),
        (np.array([b"a"] * 4), "not numbers"),
    ],
)
def test_what_is_no_weight_is_named(tmp_path, values, message):
    write(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["conv1/conv1/bias:0"]
        file["conv1/conv1/bias:0"] = values
    with pytest.raises(InputError, match=f"conv1/bias:0.*{message}"):
        read_hdf5(tmp_path / "w.h5")


def test_a_huge_array_is_refused_before_it_is_made(tmp_path):
    write(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["conv1/conv1/bias:0"]
        file.create_dataset("conv1/conv1/bias:0", (10**6, 10**6), "f4", chunks=True)
    assert (tmp_path / "w.h5").stat().st_size < 100_000
    with pytest.raises(InputError, match="too large for a weight"):
        read_hdf5(tmp_path / "w.h5")


def test_a_listed_layer_that_is_missing(tmp_path):
    write(tmp_path / "w.h5", names=("conv1", "conv9"))
    with pytest.raises(InputError, match="'conv9' is missing"):
        read_hdf5(tmp_path / "w.h5")


def test_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    write(tmp_path / "w.h5")
    whole = (tmp_path / "w.h5").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), rng.integers(1, 20)):
            content[at] = rng.integers(0, 256)
        if rng.random() < 0.2:
            del content[rng.integers(0, len(content)) :]
        (tmp_path / "m.h5").write_bytes(content)
        try:
            found = read_hdf5(tmp_path / "m.h5")
        except InputError as error:
            assert str(error).startswith(f"{tmp_path / 'm.h5'}: ") and "\n" not in str(error)
            refused += 1
        else:
            assert all(np.isfinite(v).all() for values in found.values() for v in values)
    assert 0 < refused < 400
