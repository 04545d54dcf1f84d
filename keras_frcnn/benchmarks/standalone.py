"""What the checks of CUDA kernels by themselves share: a GPU's memory, compilation, times, tables.

Needs PyTorch and torchvision, and no TensorFlow.
"""

import argparse
import dataclasses
import statistics
import tempfile
from pathlib import Path

import numpy as np

from keras_frcnn.custom_ops import cuda
from keras_frcnn.custom_ops.compiler import NoCompilerError, find_compiler
from keras_frcnn.custom_ops.cuda_kernels import CudaKernels
from keras_frcnn.errors import InputError
from keras_frcnn.files import replacing

CALLS_A_ROUND = 20  # one after another, timed together
KERNEL_COLUMNS = ["kernel", "dtype", "registers", "spilled bytes", "occupancy", "blocks"]


class MismatchError(AssertionError):
    """The kernels' results are not those of the reference."""


class TorchMemory:
    """Buffers that PyTorch allocates on the current GPU."""

    def __init__(self):
        import torch

        self.torch = torch

    def put(self, array):
        """A buffer with the bytes of `array`."""
        data = np.frombuffer(array.tobytes(), np.uint8).copy()
        return self.torch.from_numpy(data).to("cuda")

    def empty(self, size):
        """A buffer of `size` bytes."""
        return self.torch.empty(size, dtype=self.torch.uint8, device="cuda")

    def get(self, buffer, shape, dtype):
        """The buffer as an array; waits for the GPU."""
        return np.frombuffer(buffer.cpu().numpy().tobytes(), dtype).reshape(shape)

    def address(self, buffer):
        """The buffer's address on the GPU."""
        return buffer.data_ptr()


def kernels() -> CudaKernels:
    """The kernels, compiled for this machine's GPU, on PyTorch's stream.

    Raises:
        InputError: something that this needs is missing.
    """
    try:
        import torch
        import torchvision  # noqa: F401

        nvcc = cuda.find_nvcc()
        compiler = find_compiler()
    except (ImportError, cuda.CudaUnavailableError, NoCompilerError) as error:
        raise InputError(f"this needs PyTorch, torchvision and compilers: {error}") from error
    if not torch.cuda.is_available():
        raise InputError("there is no GPU that PyTorch can use")
    major, minor = torch.cuda.get_device_capability()
    nvcc = dataclasses.replace(nvcc, architectures=(10 * major + minor,))
    with tempfile.TemporaryDirectory() as work:
        library = Path(work, "kernels.so")
        try:
            cuda.compile_library(library, compiler, nvcc)
        except cuda.CudaUnavailableError as error:
            raise InputError(f"{nvcc.path} cannot compile the kernels: {error}") from error
        return CudaKernels(library, torch.cuda.current_stream().cuda_stream)


def parsed(argv: list[str], name: str, description: str) -> argparse.Namespace:
    """The arguments of `keras-frcnn bench NAME --standalone`."""
    parser = argparse.ArgumentParser(prog=f"keras-frcnn bench {name}", description=description)
    parser.add_argument("--standalone", action="store_true", required=True)
    out = Path(f"{name.replace('-', '_')}_cuda_benchmark.md")
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--rounds", type=int, default=20, help="measurements; the median counts")
    return parser.parse_args(argv)


def print_and_save(text: str, path: Path) -> None:
    """Print the tables and write them to a file."""
    print(text)
    with replacing(path) as partial:
        partial.write_text(text, "utf-8")
    print(f"Saved to {path}")


def heading(bandwidth: float, rounds: int) -> str:
    """What was measured, and how."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    return (
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, sm_{major}{minor};"
        f" median of {rounds} rounds of {CALLS_A_ROUND} calls; memory is copied at"
        f" {bandwidth / 1e12:.2f} TB/s, read and written."
    )


def kernel_row(info: dict, dtype: str) -> list[str]:
    """A kernel as `CudaKernels.describe` gives it, in the columns of `KERNEL_COLUMNS`."""
    occupancy = info["blocks_at_once"] * 256 / info["threads_at_once_limit"]
    numbers = info["registers"], info["local_bytes"], f"{occupancy:.0%}", info["blocks"]
    return [info["name"], dtype, *map(str, numbers)]


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a copy inside the GPU's memory."""
    import torch

    source = torch.zeros(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source), 10)


def seconds(run, rounds: int) -> float:
    """The median time of a call, all launches queued."""
    import torch

    for _ in range(3):
        run()
    times = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        # The GPU waits about 5 ms, in which all calls are queued: their launches take no part.
        torch.cuda._sleep(10_000_000)
        start.record()
        for _ in range(CALLS_A_ROUND):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3 / CALLS_A_ROUND)
    return statistics.median(times)


def require(condition: bool, case, dtype: str, what: str) -> None:
    """Raise MismatchError unless the condition holds."""
    if not condition:
        raise MismatchError(f"{case.name}, {dtype}: the {what} is not the reference's")
