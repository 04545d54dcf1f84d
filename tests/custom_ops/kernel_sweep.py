"""Checks the CPU kernels, without TensorFlow, against the NumPy reference under sanitizers.

    python -m tests.custom_ops.kernel_sweep                      # AddressSanitizer and UBSan
    python -m tests.custom_ops.kernel_sweep --compiler aarch64-linux-gnu-g++ \\
        --flags "-O3 -static" --run-with qemu-aarch64-static     # another processor

Every instruction set that the processor has is run.
"""

import argparse
import platform
import shlex
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_frcnn.custom_ops import align_cases
from keras_frcnn.custom_ops.align_reference import (
    roi_align_grad_reference,
    roi_align_reference,
)
from keras_frcnn.custom_ops.cases import DTYPES, all_cases, random_cases
from keras_frcnn.custom_ops.cuda import KERNELS, include_flags
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference

POOL = Path(__file__).with_name("pool_sweep.cc")
ALIGN = Path(__file__).with_name("align_sweep.cc")
SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


def write_pool_cases(count: int, path: Path) -> None:
    """Write each case, and so many random ones, in every dtype with the reference's results."""
    with open(path, "wb") as file:
        for case in all_cases() + random_cases(count):
            for code, dtype in enumerate(DTYPES):
                typed = case.with_dtype(dtype)
                output, argmax = roi_pool_reference(typed.features, *typed.arguments)
                rng = np.random.default_rng(code)
                grad_output = rng.normal(size=output.shape).astype(output.dtype)
                grad = roi_pool_grad_reference(
                    grad_output, argmax, typed.rois, typed.features.shape
                )
                sizes = [*typed.features.shape, *output.shape[:3]]
                file.write(struct.pack("=8qf", code, *sizes, typed.spatial_scale))
                for array in (typed.features, typed.rois, output, argmax, grad_output, grad):
                    file.write(array.tobytes())


def write_align_cases(count: int, path: Path) -> None:
    """The same of RoIAlign, on maps of one level."""
    cases = [case for case in align_cases.all_cases() if len(case.maps) == 1]
    modes = [(0, 1), (0, 0), (1, 1), (2, 0), (3, 1)]
    with open(path, "wb") as file:
        for number, case in enumerate(cases + align_cases.random_cases(count)):
            for code, dtype in enumerate(DTYPES):
                typed = case.with_dtype(dtype)
                ratio, aligned = modes[(number + code) % len(modes)]
                grid = typed.scales, ratio, bool(aligned)
                rois, levels = typed.rois, typed.levels
                output = roi_align_reference(typed.maps, rois, levels, *typed.size, *grid)
                grad_output = np.random.default_rng(code).normal(size=output.shape)
                grad_output = grad_output.astype(output.dtype)
                (grad,) = roi_align_grad_reference(
                    grad_output, rois, levels, [typed.maps[0].shape], *grid
                )
                sizes = [*typed.maps[0].shape, *output.shape[:3], ratio, aligned]
                file.write(struct.pack("=10qf", code, *sizes, typed.scales[0]))
                for array in (typed.maps[0], rois, output, grad_output, grad):
                    file.write(array.tobytes())


def compile_sweep(compiler: list[str], flags: list[str], main: Path, target: Path) -> None:
    """Compile the kernels and the program `main` that runs them; raises where that fails."""
    machine = subprocess.run([*compiler, "-dumpmachine"], capture_output=True, text=True).stdout
    flags = [*flags, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    flags += ["-ffp-contract=off", *include_flags(KERNELS)]
    per_file = {
        "roi_pool_bins.cc": [],
        "roi_pool_cpu.cc": [],
        "roi_pool_cpu_baseline.cc": [],
        "roi_align_samples.cc": [],
        "roi_align_cpu.cc": [],
        "roi_align_cpu_baseline.cc": [],
    }
    if machine.startswith("x86_64"):
        from keras_frcnn.custom_ops.build import KERNEL_FLAGS

        per_file |= KERNEL_FLAGS
    objects = []
    for name, extra in per_file.items():
        objects.append(str(target.with_name(name + ".o")))
        (source,) = map(str, KERNELS.rglob(name))
        subprocess.run([*compiler, *flags, *extra, "-c", source, "-o", objects[-1]], check=True)
    subprocess.run([*compiler, *flags, str(main), *objects, "-o", str(target)], check=True)


def main(argv: list[str]) -> int:
    """Compile, run RoI pooling's cases, then RoIAlign's, and return the programs' exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.custom_ops.kernel_sweep")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--flags", default=SANITIZERS)
    parser.add_argument("--run-with", default="", help="an emulator's command")
    parser.add_argument("--random", type=int, default=100, help="random cases beside the listed")
    arguments = parser.parse_args(argv)
    compiler, flags = shlex.split(arguments.compiler), shlex.split(arguments.flags)
    with tempfile.TemporaryDirectory() as work:
        program, cases = Path(work, "sweep"), Path(work, "cases")
        status = 0
        for main, write in ((POOL, write_pool_cases), (ALIGN, write_align_cases)):
            compile_sweep(compiler, flags, main, program)
            write(arguments.random, cases)
            command = [*shlex.split(arguments.run_with), str(program), str(cases)]
            status = status or subprocess.run(command).returncode
        return status


if __name__ == "__main__":
    print(f"on {platform.machine()}")
    sys.exit(main(sys.argv[1:]))
