import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from keras_frcnn.benchmarks import roi_align_cuda, roi_pool_cuda, standalone
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.custom_ops import align_cases, cuda
from keras_frcnn.custom_ops.cases import all_cases
from keras_frcnn.errors import InputError
from tests.custom_ops.cuda_on_host import HostMemory, host_kernels

needs_compiler = pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")


class FaultyMemory(HostMemory):
    """Changes a bit of the last buffer of a given type that is read back."""

    def __init__(self, dtype):
        super().__init__()
        self.dtype = dtype

    def get(self, buffer, shape, dtype):
        array = super().get(buffer, shape, dtype).copy()
        if dtype == self.dtype and array.ndim == 4:
            array.view("uint8").reshape(-1)[-1] ^= 4
        return array


@needs_compiler
def test_check_compares_every_dtype():
    assert roi_pool_cuda.check(host_kernels(), HostMemory(), all_cases()[:3]) == 3 * 4


@needs_compiler
@pytest.mark.parametrize(("dtype", "what"), [("float32", "output"), ("int32", "argmax")])
def test_check_finds_a_wrong_bit(dtype, what):
    with pytest.raises(standalone.MismatchError, match=f"inside, float.*the {what}"):
        roi_pool_cuda.check(host_kernels(), FaultyMemory(dtype), all_cases()[:1])


def test_table():
    names = roi_pool_cuda.TIMES
    ours = {"implementation": "ours", **dict(zip(names, (1e-6, 2e-6, 3e-6, 4e-6), strict=True))}
    ours |= {"bytes": 3e6, "cell bytes": 5e6}
    theirs = {"implementation": "torchvision 0", names[1]: 5e-6, names[2]: 6e-6}
    rows = [{"workload": "small", "dtype": "float32", **row} for row in (ours, theirs)]
    table = roi_pool_cuda.time_rows(rows, bandwidth=6e12)
    assert table[0][1:] == ["ours", "float32", *"1.0 2.0 3.0 4.0 2.50 2.00 50% 5.00".split()]
    assert table[1][1:7] == ["torchvision 0", "float32", "", "5.0", "6.0", ""]
    assert {len(row) for row in table} == {len(roi_pool_cuda.TIME_COLUMNS)}
    text = markdown([roi_pool_cuda.TIME_COLUMNS, *table])
    assert {line.count(" | ") for line in text.splitlines()} == {len(table[0]) - 1}


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["tensorflow"] = None
from keras_frcnn.cli.__main__ import main
sys.exit(main(["bench", sys.argv[1], "--standalone"]))
"""


@pytest.mark.parametrize("name", ["roi-pool", "roi-align"])
def test_says_what_is_missing(name):
    command = [sys.executable, "-c", WITHOUT_TORCH, name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs PyTorch" in done.stderr


@needs_compiler
def test_says_why_it_does_not_compile(monkeypatch, tmp_path):
    # The compiler is older than the GPU.
    (tmp_path / "nvcc").write_text("#!/bin/sh\necho Unsupported architecture; exit 1\n")
    (tmp_path / "nvcc").chmod(0o755)
    nvcc = cuda.Nvcc(str(tmp_path / "nvcc"), "", (70,), tmp_path / "libcudart_static.a")
    monkeypatch.setattr(cuda, "find_nvcc", lambda: nvcc)
    gpu = SimpleNamespace(is_available=lambda: True, get_device_capability=lambda: (12, 0))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=gpu))
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    with pytest.raises(InputError, match=r"(?s)cannot compile.*sm_120.*Unsupported architecture"):
        roi_pool_cuda.main(["--standalone"])


@needs_compiler
def test_check_of_roi_align():
    cases = [case for case in align_cases.all_cases() if case.name in ("halves and rims", "levels")]
    compared = roi_align_cuda.check(host_kernels(), HostMemory(), cases)
    assert compared == 2 * 4 * len(roi_align_cuda.MODES)


@needs_compiler
@pytest.mark.parametrize("place, what", [(0, "output"), (1, "deterministic gradient")])
def test_check_of_roi_align_finds_a_wrong_bit(place, what):
    class Faulty(HostMemory):
        reads = 0

        def get(self, buffer, shape, dtype):
            array = super().get(buffer, shape, dtype).copy()
            array.view("uint8").reshape(-1)[-1] ^= 4 * (self.reads == place)
            self.reads += 1
            return array

    with pytest.raises(standalone.MismatchError, match=f"inside, float16: the {what}"):
        roi_align_cuda.check(host_kernels(), Faulty(), align_cases.all_cases()[:1])


def test_table_of_roi_align():
    names = roi_align_cuda.TIMES
    ours = {"implementation": "ours", **dict(zip(names, (1e-6, 2e-6, 3e-6), strict=True))}
    ours["bytes"] = 3e6
    theirs = {"implementation": "torchvision 0", names[0]: 5e-6, names[1]: 6e-6}
    rows = [{"workload": "small", "dtype": "float32", **row} for row in (ours, theirs)]
    table = roi_align_cuda.time_rows(rows, bandwidth=6e12)
    assert table[0][1:] == ["ours", "float32", *"1.0 2.0 3.0 5.00 3.00 50%".split()]
    assert table[1][1:] == ["torchvision 0", "float32", "5.0", "6.0", "", "1.00", "1.00", ""]
    assert {len(row) for row in table} == {len(roi_align_cuda.TIME_COLUMNS)}
