"""Finds CUDA's compiler and compiles the CUDA kernels. Needs no TensorFlow.

The runtime library of CUDA is linked statically, so the kernels work beside any CUDA version that
TensorFlow or PyTorch was built with; only the driver must be as new as the compiler.
"""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

KERNELS = Path(__file__).resolve().parent / "kernels"
SOURCES = sorted((KERNELS / "cuda").glob("*.cu"))
ARCHITECTURES_VARIABLE = "KERAS_FRCNN_CUDA_ARCHITECTURES"
# -fmad=false: a product is rounded before anything is added to it, as on the CPU.
FLAGS = ["-std=c++17", "-O3", "-fmad=false", "-Wno-deprecated-gpu-targets"]
HOST_FLAGS = ["-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
OLDEST = 70  # the first with the instructions that the kernels use in every type


class CudaUnavailableError(RuntimeError):
    """The CUDA kernels cannot be compiled; the message says why."""


@dataclass(frozen=True)
class Nvcc:
    """A CUDA compiler."""

    path: str
    version: str  # what it says of itself
    architectures: tuple[int, ...]  # to compile for, 90 for sm_90; PTX comes from the last
    cudart: Path  # the static runtime library

    @property
    def architecture_names(self) -> str:
        """Such as `sm_80 sm_90 compute_90`."""
        codes = [f"sm_{number}" for number in self.architectures]
        return " ".join([*codes, f"compute_{self.architectures[-1]}"])

    @property
    def link_flags(self) -> list[str]:
        """What the C++ compiler needs to link the kernels into a shared library.

        TensorFlow has functions of the same names, so those of the runtime library stay inside.
        """
        hide = f"-Wl,--exclude-libs,{self.cudart.name}"
        return [hide, str(self.cudart), "-lpthread", "-ldl", "-lrt"]

    def command(self, compiler: list[str]) -> list[str]:
        """The command that compiles a .cu file with `compiler` for its host part."""
        codes = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in self.architectures]
        newest = self.architectures[-1]
        # nvcc takes the compiler alone, not the `ccache` before it.
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), compiler))
        return [
            self.path,
            *FLAGS,
            "--threads=0",
            *codes,
            f"-gencode=arch=compute_{newest},code=compute_{newest}",
            f'-DKERAS_FRCNN_CUDA_ARCHITECTURES="{self.architecture_names}"',
            f"-ccbin={words[-1]}",
            *(f"-Xcompiler={flag}" for flag in [*compiler[len(words) :], *HOST_FLAGS]),
        ]


def find_nvcc() -> Nvcc:
    """The CUDA compiler and what it is to compile for.

    It is searched for in `$CUDA_HOME`, on the path, in /usr/local/cuda, in /usr/local/cuda-* from
    the highest version down, and in the package `nvidia-cuda-nvcc`. The architectures are those of
    `$KERAS_FRCNN_CUDA_ARCHITECTURES`, such as "80 90"; without it, the first of each generation
    that the compiler knows, whose machine code runs on the whole generation. The newest one's PTX
    serves later generations.

    Raises:
        CudaUnavailableError: there is no compiler, it does not run, its runtime library is
            missing, or it does not know an architecture that is asked for.
    """
    path = next((path for path in _candidates() if path), None)
    if path is None:
        raise CudaUnavailableError(
            "no CUDA compiler found (nvcc); install the CUDA toolkit, or `pip install"
            " nvidia-cuda-nvcc nvidia-cuda-cccl`, or set CUDA_HOME"
        )
    version = _output([path, "--version"])
    architectures = _architectures(_output([path, "--list-gpu-code"]))
    return Nvcc(path, version, architectures, _static_runtime(path))


def include_flags(kernels: Path) -> list[str]:
    """What lets the sources in a folder and those below it include each other by their names."""
    folders = [kernels, *sorted(path for path in kernels.iterdir() if path.is_dir())]
    return [f"-I{folder}" for folder in folders]


def compile_library(library: Path, compiler: list[str], nvcc: Nvcc, flags: tuple[str, ...] = ()):
    """Compile the kernels alone into a shared library with the C interface of cuda_call.h.

    Raises:
        CudaUnavailableError: the compiler failed.
    """
    command = [*nvcc.command(compiler), *include_flags(KERNELS), *flags]
    targets = [library.with_name(source.name + ".o") for source in SOURCES]

    def compile_one(source, target):
        _output([*command, "-c", str(source), "-o", str(target)])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, SOURCES, targets))
    _output([*compiler, "-shared", "-o", str(library), *map(str, targets), *nvcc.link_flags])
    for target in targets:
        target.unlink()


def _candidates():
    if home := os.environ.get("CUDA_HOME"):
        yield shutil.which("nvcc", path=str(Path(home, "bin")))
    yield shutil.which("nvcc")
    system = Path("/usr/local")
    versions = sorted(system.glob("cuda-*"), key=lambda path: _numbers(path.name), reverse=True)
    packages = Path(sysconfig.get_paths()["purelib"], "nvidia")
    for folder in [system / "cuda", *versions, *sorted(packages.glob("*"), reverse=True)]:
        yield shutil.which("nvcc", path=str(folder / "bin"))


def _numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def _architectures(listed: str) -> tuple[int, ...]:
    known = sorted(n for n in map(int, re.findall(r"sm_(\d+)\b", listed)) if n >= OLDEST)
    if not known:
        raise CudaUnavailableError(f"the CUDA compiler knows no architecture from {OLDEST} on")
    if wanted := os.environ.get(ARCHITECTURES_VARIABLE):
        chosen = tuple(sorted({int(n) for n in re.findall(r"\d+", wanted)}))
        if not chosen or not set(chosen) <= set(known):
            raise CudaUnavailableError(
                f"{ARCHITECTURES_VARIABLE} is {wanted!r}; it can be some of"
                f" {' '.join(map(str, known))}"
            )
        return chosen
    first = {}
    for number in known:
        first.setdefault(number // 10, number)
    return tuple(first.values())


def _static_runtime(nvcc: str) -> Path:
    # nvcc may be a script elsewhere: the folder of the toolkit is what it says itself.
    said = _output([nvcc, "--dryrun", "x.cu"])
    named = re.search(r"^#\$ TOP=(.*)$", said, re.M)
    if not named:
        message = f"{nvcc} --dryrun does not name the toolkit's folder (TOP):\n{said}"
        raise CudaUnavailableError(message)
    top = Path(named[1])
    folders = [Path(folder) for folder in re.findall(r'"-L([^"]*)"', said)]
    folders += [top / "lib64", top / "lib", *top.glob("targets/*/lib")]
    for folder in folders:
        if (folder / "libcudart_static.a").exists():
            return (folder / "libcudart_static.a").resolve()
    raise CudaUnavailableError(f"{nvcc} has no libcudart_static.a in {top}")


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:  # of another machine's processor, say
        raise CudaUnavailableError(f"{shlex.join(command)}\n{error}") from error
    if done.returncode:
        raise CudaUnavailableError(f"{shlex.join(command)}\n{done.stderr}{done.stdout}")
    return done.stdout + done.stderr
