"""Files of PyTorch's tensors, written here as PyTorch writes them."""

import collections
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.models.torch_files import read_torch

VALUES = np.arange(24, dtype=np.float32)
DATA = VALUES.tobytes()
TENSORS = {"body.weight": ((2, 3, 4), (12, 4, 1), 0), "body.bias": ((3,), (2,), 5)}
EXPECTED = {"body.weight": VALUES.reshape(2, 3, 4), "body.bias": VALUES[[5, 7, 9]]}


class Named:
    """Pickled as the bare name of something in a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickled as a call of a `Named`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args


class Persistent:
    def __init__(self, *pid):
        self.pid = pid


class Writer(pickle._Pickler):
    """A pickler that writes names of what is not installed."""

    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Persistent) else None

    def save(self, obj, *args, **kw):
        if isinstance(obj, Named):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.args)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, *args, **kw)


def pickled(obj) -> bytes:
    file = io.BytesIO()
    Writer(file, 2).dump(obj)
    return file.getvalue()


def state(tensors=TENSORS, kind="FloatStorage", size=24, view=()):
    storage = Persistent("storage", Named("torch", kind), "0", "cpu", size, *view)
    rebuild = Named("torch._utils", "_rebuild_tensor_v2")
    return {
        name: Call(rebuild, storage, offset, shape, strides, False, collections.OrderedDict())
        for name, (shape, strides, offset) in tensors.items()
    }


def archive(path, described, data=DATA, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled(described))
        file.writestr("archive/data/0", data)
        file.writestr("archive/version", "3\n")
    return path


def legacy(path, described, data=DATA, count=24):
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, described, ["0"])
    path.write_bytes(b"".join(map(pickled, heads)) + struct.pack("<q", count) + data)
    return path


def safetensors(path, described, data=DATA):
    text = json.dumps(described).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def expect(found):
    assert sorted(found) == sorted(EXPECTED)
    for name, values in EXPECTED.items():
        np.testing.assert_array_equal(found[name], values)


def test_archive_and_legacy(tmp_path):
    expect(read_torch(archive(tmp_path / "a.pth", state())))
    expect(read_torch(legacy(tmp_path / "l.pth", state(view=(None,)))))


def test_safetensors(tmp_path):
    about = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "n": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
    }
    data = VALUES[:6].tobytes() + np.int64(7).tobytes()
    found = read_torch(safetensors(tmp_path / "x.safetensors", about, data))
    np.testing.assert_array_equal(found["a"], VALUES[:6].reshape(2, 3))
    assert found["n"] == 7 and found["n"].shape == ()


HOSTILE = {
    "a call": (Call(Named("os", "system"), "touch /tmp/never"), "asks for os.system"),
    "a builtin": (Call(Named("builtins", "eval"), "1"), "asks for builtins.eval"),
    "dotted": (Named("collections", "abc.sys"), "asks for collections.abc.sys"),
    "a module": ({"m": Named("torch.nn", "Linear")}, "asks for torch.nn.Linear"),
    "bfloat16": (state(kind="BFloat16Storage"), "asks for torch.BFloat16Storage"),
    "no dictionary": ([1, 2], "no dictionary of tensors"),
    "empty": ({}, "no dictionary of tensors"),
    "a number": ({"epoch": 3}, "epoch is no tensor"),
    "no storage": (
        {"w": Call(Named("torch._utils", "_rebuild_tensor_v2"), 1, 0, (1,), (1,))},
        "a tensor without a storage",
    ),
    "beyond": (state({"w": ((25,), (1,), 0)}), "outside its storage"),
    "offset": (state({"w": ((4,), (1,), 21)}), "outside its storage"),
    "negative": (state({"w": ((4,), (-1,), 8)}), "no counts"),
    "no integers": (state({"w": ((4.0,), (1,), 0)}), "no counts"),
    "repeated": (state({"w": ((10**6, 10**6), (0, 0), 0)}), "outside its storage"),
    "too few strides": (state({"w": ((2, 2), (1,), 0)}), "no counts"),
}


@pytest.mark.parametrize("layout", [archive, legacy])
@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_tensor_is_refused(tmp_path, layout, case):
    described, message = HOSTILE[case]
    path = layout(tmp_path / "x.pth", described)
    with pytest.raises(InputError, match=message) as error:
        read_torch(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_damage_is_named(tmp_path):
    path = tmp_path / "x.pth"
    for content in (b"", b"PK\x03\x04", b"\x80\x02", b"hello", b"r\xff\xff\xff\x7f."):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.pth"):
            read_torch(path)
    whole = archive(path, state()).read_bytes()
    path.write_bytes(whole.replace(DATA, VALUES[::-1].tobytes()))  # another checksum
    with pytest.raises(InputError, match="CRC"):
        read_torch(path)
    with pytest.raises(InputError, match="compressed"):
        read_torch(archive(path, state(), compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(InputError, match="not finite"):
        read_torch(archive(path, state(), np.full(24, np.nan, np.float32).tobytes()))
    with pytest.raises(InputError, match="another size"):
        read_torch(legacy(path, state(), count=2**40))
    with pytest.raises(InputError, match="outside its storage"):
        read_torch(legacy(path, state(), VALUES[:5].tobytes()))
    with pytest.raises(InputError, match="no such weight file"):
        read_torch(tmp_path / "missing.pth")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}, "holds BF16"),
        ({"dtype": "F32", "shape": [7], "data_offsets": [0, 4]}, "does not fit"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "no counts"),
        ({"dtype": "F32", "shape": [30], "data_offsets": [0, 120]}, "damaged"),
        ({"dtype": "F32"}, "damaged"),
        (3, "damaged"),
    ],
)
def test_broken_safetensors(tmp_path, about, message):
    path = safetensors(tmp_path / "x.safetensors", {"w": about})
    with pytest.raises(InputError, match=message):
        read_torch(path)
