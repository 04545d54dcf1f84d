"""Compiles the op library for the TensorFlow that is installed.

The library lives in the cache folder under a name that holds TensorFlow's version and a hash of
the sources, the flags and the compiler's version: when any of them changes it is built anew.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf

from keras_frcnn.paths import cache_dir

SOURCE_DIR = Path(__file__).resolve().parent
X86 = ("x86_64", "AMD64")

# The kernels are compiled for each instruction set and chosen at run time, so a library works on
# every processor of its architecture.
KERNEL_FLAGS = {
    "roi_pool_cpu_avx2.cc": ["-mavx2"],
    "roi_pool_cpu_avx512.cc": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"],
}
# The only files that include TensorFlow's headers.
TENSORFLOW_SOURCES = ("roi_pool_ops.cc", "roi_pool_cpu_ops.cc")
COMMON_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
# TensorFlow 2.21 deprecates what 2.18 has no successor for; vectors never cross a file's border.
COMMON_FLAGS += ["-Wno-deprecated-declarations", "-Wno-psabi"]


class NoCompilerError(RuntimeError):
    """There is no C++ compiler on this machine."""


class CompileError(RuntimeError):
    """The compiler could not build the op; the message is the compiler's."""


def find_compiler() -> list[str]:
    """The C++ compiler's command: `$CXX`, else c++, g++ or clang++.

    Raises:
        NoCompilerError: none of them can be found.
    """
    command = shlex.split(os.environ.get("CXX", ""))
    for name in [command[0]] if command else ["c++", "g++", "clang++"]:
        if shutil.which(name):
            return [name, *command[1:]]
    raise NoCompilerError(
        f"no C++ compiler found ({command[0] if command else 'c++, g++ or clang++'}); install one"
        " (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install), or set CXX"
    )


def library_path(compiler: list[str]) -> Path:
    """Where the library for these sources, this compiler and this TensorFlow is kept."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version)
    for part in [*compiler, platform.machine(), *_all_flags(), *tf.sysconfig.get_link_flags()]:
        digest.update(part.encode() + b"\0")
    for source in _sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    name = f"roi_pool-tf{tf.__version__}-{digest.hexdigest()[:16]}.so"
    return cache_dir() / "ops" / name


def build() -> Path:
    """Build the library unless it is there already, and return its path.

    Any number of processes may call this at once: one compiles and the others wait for it.

    Raises:
        NoCompilerError: there is no C++ compiler.
        CompileError: the compiler failed.
    """
    compiler = find_compiler()
    library = library_path(compiler)
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with open(library.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends, however it ends
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=library.parent) as work:
                os.replace(_compile(compiler, Path(work)), library)
    return library


def instruction_set(library: Path) -> str:
    """The instruction set that a built library's CPU kernels use on this processor."""
    name = ctypes.CDLL(str(library)).KerasFrcnnCpuKernels
    name.restype = ctypes.c_char_p
    return name().decode()


def _compile(compiler: list[str], work: Path) -> Path:
    def compile_one(source):
        target = work / (source.stem + ".o")
        flags = COMMON_FLAGS + KERNEL_FLAGS.get(source.name, [])
        if source.name in TENSORFLOW_SOURCES:
            flags += _tensorflow_flags()
        _run([*compiler, *flags, "-c", str(source), "-o", str(target)])
        return str(target)

    translation_units = [source for source in _sources() if source.suffix == ".cc"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, translation_units))
    library = work / "library.so"
    link_flags = tf.sysconfig.get_link_flags()
    _run([*compiler, "-shared", "-o", str(library), *objects, *link_flags])
    return library


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise CompileError(f"{shlex.join(command)}\n{result.stderr}")


def _sources() -> list[Path]:
    """Headers and sources for this machine's processor, in a fixed order."""
    sources = sorted([*SOURCE_DIR.glob("*.h"), *SOURCE_DIR.glob("*.cc")])
    if platform.machine() in X86:
        return sources
    return [source for source in sources if source.name not in KERNEL_FLAGS]


def _all_flags() -> list[str]:
    per_file = [flag for flags in KERNEL_FLAGS.values() for flag in flags]
    return [*COMMON_FLAGS, *per_file, *_tensorflow_flags()]


def _tensorflow_flags() -> list[str]:
    # As a system folder, so that messages are about this project's sources.
    return [flag.replace("-I", "-isystem", 1) for flag in tf.sysconfig.get_compile_flags()]
