"""The CUDA kernels compile, and a missing or broken compiler costs nothing but them."""

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from keras_frcnn.custom_ops import build, cuda
from keras_frcnn.custom_ops.cuda_kernels import CudaError, CudaKernels, Shape
from tests.custom_ops.test_build import SMALL

if not shutil.which("c++"):
    pytest.skip("there is no C++ compiler", allow_module_level=True)

FAKE_NVCC = """#!/bin/sh
case "$*" in
  --version) echo "made for a test" ;;
  --list-gpu-code) printf 'sm_61\\nsm_70\\nsm_75\\nsm_86\\nsm_80\\nsm_103\\nsm_100\\n' ;;
  "--dryrun x.cu") printf '#$ _HERE_=/elsewhere\\n#$ TOP=%s\\n' "$(dirname "$0")/.." >&2 ;;
  *) echo "no space left for kernels" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def toolkit(tmp_path, monkeypatch):
    """A CUDA toolkit that compiles nothing, found by CUDA_HOME."""
    home = tmp_path / "cuda home"
    (home / "bin").mkdir(parents=True)
    (home / "lib64").mkdir()
    (home / "lib64/libcudart_static.a").write_text("!<arch>\n")
    (home / "bin/nvcc").write_text(FAKE_NVCC)
    (home / "bin/nvcc").chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(home))
    monkeypatch.delenv(cuda.ARCHITECTURES_VARIABLE, raising=False)
    return home


def test_finds_the_compiler_and_its_architectures(toolkit, monkeypatch):
    nvcc = cuda.find_nvcc()
    assert nvcc.path == str(toolkit / "bin/nvcc")
    assert nvcc.cudart == toolkit / "lib64/libcudart_static.a"
    assert nvcc.architecture_names == "sm_70 sm_80 sm_100 compute_100"
    monkeypatch.setenv(cuda.ARCHITECTURES_VARIABLE, "sm_86, 75")
    assert cuda.find_nvcc().architecture_names == "sm_75 sm_86 compute_86"
    for wrong in ("90", "all", "61"):  # 61 is too old for the kernels
        monkeypatch.setenv(cuda.ARCHITECTURES_VARIABLE, wrong)
        with pytest.raises(cuda.CudaUnavailableError, match="some of 70 75 80 86 100 103"):
            cuda.find_nvcc()


def test_toolkit_without_the_runtime_library(toolkit):
    (toolkit / "lib64/libcudart_static.a").unlink()
    with pytest.raises(cuda.CudaUnavailableError, match=r"no libcudart_static\.a"):
        cuda.find_nvcc()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/no/such/shell\n", "No such file"),
        ("not a program", "Exec format error"),
        ("#!/bin/sh\nexit 1\n", "--version"),
        ("#!/bin/sh\necho sm_61\n", "no architecture from 70"),
        ("#!/bin/sh\necho sm_90\n", "does not name the toolkit's folder"),
    ],
)
def test_what_is_no_compiler_is_named(toolkit, script, message):
    (toolkit / "bin/nvcc").write_text(script)
    with pytest.raises(cuda.CudaUnavailableError, match=message):
        cuda.find_nvcc()


@pytest.mark.usefixtures("toolkit")
def test_flags_of_the_host_compiler():
    command = cuda.find_nvcc().command(["ccache", "g++-12", "-m64", "-Wall"])
    assert "-ccbin=g++-12" in command
    assert [word for word in command if word.startswith("-Xcompiler=")][:2] == [
        "-Xcompiler=-m64",
        "-Xcompiler=-Wall",
    ]


def test_no_compiler(monkeypatch):
    monkeypatch.setattr(cuda, "_candidates", lambda: [None, None])
    with pytest.raises(cuda.CudaUnavailableError, match="pip install"):
        cuda.find_nvcc()


@pytest.fixture
def small_sources(tmp_path, monkeypatch):
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, text in {**SMALL, "roi_pool_cuda.cu": "", "roi_pool_gpu_ops.cc": ""}.items():
        (sources / name).write_text(text)
    monkeypatch.setattr(build, "SOURCE_DIR", sources)
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("small_sources")
def test_a_broken_compiler_leaves_the_cpu_kernels(toolkit, recwarn):
    library = build.build()
    ctypes.CDLL(str(library))
    assert build.cuda_architectures(library) is None
    assert "no space left for kernels" in build.why_no_cuda(library)
    assert sum("no space left" in str(warning.message) for warning in recwarn) == 1
    # It is not tried again, until it is asked for or the compiler changes.
    stamp = library.stat().st_mtime_ns
    assert build.build() == library
    assert library.stat().st_mtime_ns == stamp
    assert build.build(again_without_cuda=True) == library
    assert library.stat().st_mtime_ns != stamp
    (toolkit / "bin/nvcc").write_text(FAKE_NVCC.replace("made for a test", "repaired"))
    assert build.library_path(["c++"], cuda.find_nvcc()) != library


@pytest.mark.usefixtures("small_sources")
def test_without_a_compiler_the_reason_is_known(monkeypatch):
    monkeypatch.setattr(cuda, "_candidates", lambda: [None])
    assert "no CUDA compiler found (nvcc)" in build.why_no_cuda(build.build())


def real_nvcc():
    try:
        return cuda.find_nvcc()
    except cuda.CudaUnavailableError as error:
        pytest.skip(str(error))


def test_kernels_compile_without_a_warning(tmp_path, monkeypatch):
    known = real_nvcc().architectures
    chosen = sorted({known[0], known[len(known) // 2], known[-1]})
    monkeypatch.setenv(cuda.ARCHITECTURES_VARIABLE, " ".join(map(str, chosen)))
    strict = ("-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra,-Werror")
    library = tmp_path / "kernels.so"
    nvcc = cuda.find_nvcc()
    cuda.compile_library(library, ["c++"], nvcc, strict)
    assert build.cuda_architectures(library) == nvcc.architecture_names
    # It loads beside a CUDA of another version: nothing of the runtime library is to be seen.
    loaded = ctypes.CDLL(str(library))
    assert not hasattr(loaded, "cudaMalloc")
    assert not hasattr(loaded, "cudaLaunchKernel")
    if not os.path.exists("/dev/nvidiactl"):
        with pytest.raises(CudaError, match=r"driver|device"):
            CudaKernels(library).bins(Shape(1, 1, 1, 1, 1, 1, 1), 0, 1.0, 0, 0)


LIST_KERNELS = """
from tensorflow.python.framework.kernels import get_registered_kernels_for_op as kernels
from keras_frcnn.custom_ops.library import load_library
load_library()
for op in ("RoiPool", "RoiPyramidPool", "RoiPoolGrad", "RoiAlign", "RoiAlignGrad"):
    devices = [kernel.device_type for kernel in kernels("KerasFrcnn>" + op).kernel]
    print(op, devices.count("CPU"), devices.count("GPU"))
"""


def test_the_op_library_has_kernels_for_gpus():
    real_nvcc()
    command = [sys.executable, "-c", LIST_KERNELS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ops = "RoiPool", "RoiPyramidPool", "RoiPoolGrad", "RoiAlign", "RoiAlignGrad"
    assert printed.splitlines() == [f"{op} 4 4" for op in ops]


WRONG_ON_THE_GPU = """
import runpy
import tensorflow as tf
from keras_frcnn.custom_ops import library, self_test
tf.config.list_logical_devices = lambda kind: ["one"]
def compare(ops):
    raise self_test.SelfTestError(f"wrong {ops.keras_frcnn_roi_pool.__name__}")
library.compare_cpu_and_gpu = compare
runpy.run_module("keras_frcnn.custom_ops", run_name="__main__")
"""


def test_the_command_reports_a_failed_self_test():
    real_nvcc()
    done = subprocess.run([sys.executable, "-c", WRONG_ON_THE_GPU], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "CUDA kernels: sm_" in done.stdout
    assert "NOT to be used on this GPU: wrong keras_frcnn_roi_pool" in done.stdout


NO_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
import keras_frcnn.cli.__main__
import keras_frcnn.benchmarks.roi_pool_cuda
import keras_frcnn.benchmarks.roi_align_cuda
"""


def test_the_kernels_need_no_tensorflow():
    subprocess.run([sys.executable, "-c", NO_TENSORFLOW], check=True)
