"""Compiles the op library for the TensorFlow that is installed.

The library lives in the cache folder under a name that holds TensorFlow's version and a hash of
the sources, the flags and the compilers' versions: when any of them changes it is built anew, and
so it is where somebody else may have written it (`keras_frcnn.custom_ops.seal`).

Where there is a CUDA compiler, kernels for GPUs are part of it. Where that compiler fails, the
library is built without them, and the reason is kept in a file beside it.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from keras_frcnn.custom_ops import cuda, seal
from keras_frcnn.custom_ops.compiler import find_compiler
from keras_frcnn.errors import InputError
from keras_frcnn.files import cache_dir, locked, make_cache_folder, private_folder, replacing
from keras_frcnn.waiting import telling_of_waits

SOURCE_DIR = Path(__file__).resolve().parent / "kernels"
FOLDER = "ops"  # of the cache
X86 = ("x86_64", "AMD64")

# The kernels are compiled for each instruction set and chosen at run time, so a library works on
# every processor of its architecture.
_AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
KERNEL_FLAGS = {
    "roi_pool_cpu_avx2.cc": ["-mavx2"],
    "roi_pool_cpu_avx512.cc": _AVX512,
    "roi_align_cpu_avx2.cc": ["-mavx2"],
    "roi_align_cpu_avx512.cc": _AVX512,
}
# The only files that include TensorFlow's headers, and those that are for GPUs.
TENSORFLOW_SOURCES = (
    *("roi_pool_ops.cc", "roi_pool_cpu_ops.cc", "roi_pool_gpu_ops.cc"),
    *("roi_align_ops.cc", "roi_align_cpu_ops.cc", "roi_align_gpu_ops.cc"),
)
GPU_SOURCES = (
    *("cuda_call.cu", "roi_pool_cuda.cu", "roi_pool_gpu_ops.cc"),
    *("roi_align_cuda.cu", "roi_align_gpu_ops.cc"),
)
COMMON_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
# TensorFlow 2.21 deprecates what 2.18 has no successor for; vectors never cross a file's border.
COMMON_FLAGS += ["-Wno-deprecated-declarations", "-Wno-psabi"]

MAX_SAID = 2000  # characters of what a compiler says that are shown


class CompileError(RuntimeError):
    """The compiler could not build the op; the message is the compiler's."""


def library_path(compiler: list[str], nvcc: cuda.Nvcc | None = None) -> Path:
    """Where the library for these sources, these compilers and this TensorFlow is kept."""
    digest = hashlib.sha256(_run([*compiler, "--version"]).encode())
    for part in [*compiler, platform.machine(), *_all_flags(), *_link_flags()]:
        digest.update(part.encode() + b"\0")
    if nvcc:
        for part in [nvcc.version, *nvcc.command(compiler), *nvcc.link_flags]:
            digest.update(part.encode() + b"\0")
    for source in _sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    name = f"roi_pool-tf{tf.__version__}-{digest.hexdigest()[:16]}.so"
    return cache_dir() / FOLDER / name


def build(again_without_cuda: bool = False) -> Path:
    """Build the library unless it is there already, and return its path.

    Any number of processes may call this at once: one compiles and the others wait for it. A
    library whose CUDA part could not be compiled is built anew only where `again_without_cuda`.

    Raises:
        NoCompilerError: there is no C++ compiler.
        CompileError: the compiler failed.
        InputError: the cache folder cannot be written or locked.
        UntrustedError: others can write into the cache folder.
    """
    compiler = find_compiler()
    try:
        nvcc = cuda.find_nvcc() if _gpu_sources() else None
    except cuda.CudaUnavailableError:
        nvcc = None
    library = library_path(compiler, nvcc)
    failure = _failure_file(library)
    folder = make_cache_folder(FOLDER)
    seal.check_folders(folder.parent, folder)
    with telling_of_waits(f"reading {library}"):
        if _is_ready(library) and not (again_without_cuda and failure.exists()):
            return library
    with locked(library.with_suffix(".lock"), wait=True):
        if again_without_cuda and failure.exists():
            library.unlink(missing_ok=True)
            failure.unlink()
        if _is_ready(library):  # by now, thanks to another process
            return library
        if library.exists():
            warnings.warn(f"{seal.what_is_wrong(library)}; it is built anew", stacklevel=2)
        print("compiling the ops for regions, once, in about a minute", file=sys.stderr)
        try:
            with private_folder(folder, ".build-") as work:
                built = work / library.name
                _compile(compiler, nvcc, work, built, failure)
                seal.install(built, library)
        except OSError as error:
            raise InputError(f"cannot write {library}: {error}") from error
    return library


def cuda_architectures(library: Path) -> str | None:
    """The GPU architectures that a built library has kernels for; None without CUDA.

    To be called after `load_library`: TensorFlow sees only the ops of a file's first load.
    """
    loaded = ctypes.CDLL(str(library))
    if not hasattr(loaded, "KerasFrcnnCudaArchitectures"):
        return None
    loaded.KerasFrcnnCudaArchitectures.restype = ctypes.c_char_p
    return loaded.KerasFrcnnCudaArchitectures().decode()


def why_no_cuda(library: Path) -> str:
    """Why a built library has no CUDA kernels, and what to do about it."""
    failure = _failure_file(library)
    if failure.exists():
        return failure.read_text()
    try:
        return f"they were not built with {cuda.find_nvcc().path}"
    except cuda.CudaUnavailableError as error:
        return str(error)


def instruction_set(library: Path) -> str:
    """The instruction set that a built library's CPU kernels use on this processor.

    To be called after `load_library`, as `cuda_architectures`.
    """
    name = ctypes.CDLL(str(library)).KerasFrcnnCpuKernels
    name.restype = ctypes.c_char_p
    return name().decode()


def _is_ready(library: Path) -> bool:
    return library.exists() and seal.what_is_wrong(library) is None


def _compile(
    compiler: list[str], nvcc: cuda.Nvcc | None, work: Path, library: Path, failure: Path
) -> None:
    """Compile into the folder `work` and link to `library`; a failure of CUDA's is written down."""
    includes = cuda.include_flags(SOURCE_DIR)

    def compile_one(source):
        target = work / (source.name + ".o")
        if source.suffix == ".cu":
            _run([*nvcc.command(compiler), *includes, "-c", str(source), "-o", str(target)])
            return str(target)
        flags = COMMON_FLAGS + KERNEL_FLAGS.get(source.name, [])
        if source.name in TENSORFLOW_SOURCES:
            flags += _tensorflow_flags()
        _run([*compiler, *flags, *includes, "-c", str(source), "-o", str(target)])
        return str(target)

    def compile_all(sources):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(compile_one, sources))

    gpu_sources = _gpu_sources()
    sources = [source for source in _sources() if source.suffix != ".h"]
    objects = compile_all(source for source in sources if source not in gpu_sources)
    link_flags = _link_flags()
    if nvcc:
        try:
            with_gpu = [*objects, *compile_all(gpu_sources), *nvcc.link_flags]
            _run([*compiler, "-shared", "-o", str(library), *with_gpu, *link_flags])
            return
        except CompileError as error:
            warnings.warn(
                "the ops for regions are built without kernels for GPUs, where they will run on the"
                f" CPU: {error}\nOnce solved, `python -m keras_frcnn.custom_ops` builds them.",
                stacklevel=3,
            )
            with replacing(failure) as partial:
                partial.write_text(str(error))
    _run([*compiler, "-shared", "-o", str(library), *objects, *link_flags])


def _run(command: list[str]) -> str:
    """What a command prints."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:  # of another machine's processor, say
        raise CompileError(f"{shlex.join(command)}\n{error}") from error
    if result.returncode:
        said = result.stderr.strip() or f"exit status {result.returncode}"
        said = said if len(said) <= MAX_SAID else f"{said[:MAX_SAID]}..."
        raise CompileError(f"{shlex.join(command)}\n{said}")
    return result.stdout


def _sources() -> list[Path]:
    """Headers and sources for this machine's processor, in a fixed order."""
    sources = sorted(
        path for suffix in ("h", "cc", "cu") for path in SOURCE_DIR.rglob("*." + suffix)
    )
    if platform.machine() in X86:
        return sources
    return [source for source in sources if source.name not in KERNEL_FLAGS]


def _gpu_sources() -> list[Path]:
    return [source for source in _sources() if source.name in GPU_SOURCES]


def _failure_file(library: Path) -> Path:
    return library.with_suffix(".no-cuda")


def _all_flags() -> list[str]:
    per_file = [flag for flags in KERNEL_FLAGS.values() for flag in flags]
    return [*COMMON_FLAGS, *per_file, *_tensorflow_flags()]


def _link_flags() -> list[str]:
    # macOS's linker wants to be told that TensorFlow's symbols are there when the op is loaded.
    later = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return [*tf.sysconfig.get_link_flags(), *later]


def _tensorflow_flags() -> list[str]:
    # As a system folder, so that messages are about this project's sources.
    return [flag.replace("-I", "-isystem", 1) for flag in tf.sysconfig.get_compile_flags()]
