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

from keras_frcnn.custom_ops.cases import DTYPES, Case, all_cases, random_cases
from keras_frcnn.custom_ops.cuda import KERNELS, include_flags
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference

SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"


def write_cases(cases: list[Case], path: Path) -> None:
    """Write each case in every dtype with the results of the reference."""
    with open(path, "wb") as file:
        for case in cases:
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


def compile_sweep(compiler: list[str], flags: list[str], target: Path) -> None:
    """Compile the kernels and the program that runs them; raises where the compiler fails."""
    machine = subprocess.run([*compiler, "-dumpmachine"], capture_output=True, text=True).stdout
    flags = [*flags, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]
    flags += ["-ffp-contract=off", *include_flags(KERNELS)]
    per_file = {
        "roi_pool_bins.cc": [],
        "roi_pool_cpu.cc": [],
        "roi_pool_cpu_baseline.cc": [],
    }
    if machine.startswith("x86_64"):
        from keras_frcnn.custom_ops.build import KERNEL_FLAGS

        per_file |= KERNEL_FLAGS
    objects = []
    for name, extra in per_file.items():
        objects.append(str(target.with_name(name + ".o")))
        (source,) = map(str, KERNELS.rglob(name))
        subprocess.run([*compiler, *flags, *extra, "-c", source, "-o", objects[-1]], check=True)
    main = str(Path(__file__).with_suffix(".cc"))
    subprocess.run([*compiler, *flags, main, *objects, "-o", str(target)], check=True)


def main(argv: list[str]) -> int:
    """Compile, run, and return the program's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.custom_ops.kernel_sweep")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--flags", default=SANITIZERS)
    parser.add_argument("--run-with", default="", help="an emulator's command")
    parser.add_argument("--random", type=int, default=100, help="random cases beside the listed")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as work:
        program, cases = Path(work, "sweep"), Path(work, "cases")
        compile_sweep(shlex.split(arguments.compiler), shlex.split(arguments.flags), program)
        write_cases(all_cases() + random_cases(arguments.random), cases)
        command = [*shlex.split(arguments.run_with), str(program), str(cases)]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    print(f"on {platform.machine()}")
    sys.exit(main(sys.argv[1:]))
