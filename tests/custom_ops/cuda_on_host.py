"""The CUDA kernels on the host: compiled by a C++ compiler, every thread played in turn."""

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from keras_frcnn.custom_ops.cuda import KERNELS, include_flags
from keras_frcnn.custom_ops.cuda_kernels import CudaKernels

FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fPIC"]


@functools.cache
def host_kernels() -> CudaKernels:
    """The kernels as a library for the host. Raises where the compiler fails."""
    source = Path(__file__).with_suffix(".cc")
    with tempfile.TemporaryDirectory() as work:
        library = Path(work, "cuda_on_host.so")
        command = [
            "c++",
            *FLAGS,
            "-shared",
            *include_flags(KERNELS),
            str(source),
            "-o",
            str(library),
        ]
        subprocess.run(command, check=True)
        kernels = CudaKernels(library)
    kernels.library.LimitBlocks.argtypes = [ctypes.c_int64]
    return kernels


class HostMemory:
    """NumPy arrays as the kernels' memory, aligned to 64 bytes; what is put there by `shift` less.

    Fresh memory is filled with a pattern, and guarded before and behind.
    """

    GUARD = 64

    def __init__(self, shift: int = 0):
        self.shift = shift
        self.buffers = []

    def put(self, array):
        buffer = self.empty(array.nbytes, self.shift)
        buffer[:] = np.frombuffer(array.tobytes(), np.uint8)
        return buffer

    def empty(self, size, shift=0):
        whole = np.full(size + 2 * self.GUARD + 64 + shift, 0xAB, np.uint8)
        begin = -whole.ctypes.data % 64 + shift
        whole = whole[begin : begin + size + 2 * self.GUARD]
        self.buffers.append((whole, size))
        return whole[self.GUARD : self.GUARD + size]

    def get(self, buffer, shape, dtype):
        for whole, size in self.buffers:
            assert (whole[: self.GUARD] == 0xAB).all()
            assert (whole[self.GUARD + size :] == 0xAB).all()
        return np.frombuffer(buffer.tobytes(), dtype).reshape(shape)

    def address(self, buffer):
        return buffer.ctypes.data
