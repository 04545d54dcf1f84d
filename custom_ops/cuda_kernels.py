"""Calls the CUDA kernels through their C interface (cuda_call.h), without TensorFlow; RoI pooling.

Shape letters: N images, H x W cells of the feature map, C channels, K RoIs, PH x PW bins.
"""

import ctypes
from pathlib import Path
from typing import Protocol

import numpy as np

# In the order of DType in roi_pool.h.
DTYPES = ("float16", "bfloat16", "float32", "float64")
_POINTER, _INT64 = ctypes.c_void_p, ctypes.c_int64


class CudaError(RuntimeError):
    """A CUDA call failed; the message is CUDA's."""


class Shape(ctypes.Structure):
    """RoiPoolShape in roi_pool.h."""

    _fields_ = [(name, _INT64) for name in ("n", "h", "w", "c", "k", "ph", "pw")]


class _KernelInfo(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("registers", ctypes.c_int32),
        ("local_bytes", ctypes.c_int32),
        ("blocks_at_once", ctypes.c_int32),
        ("threads_at_once_limit", ctypes.c_int32),
        ("blocks", _INT64),
    ]


class _Call(ctypes.Structure):
    _fields_ = [
        ("stream", _POINTER),
        ("infos", ctypes.POINTER(_KernelInfo)),
        ("info_capacity", ctypes.c_int32),
        ("info_count", ctypes.c_int32),
    ]


class _PoolArgs(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("features", _POINTER),
        ("bins", _POINTER),
        ("output", _POINTER),
        ("argmax", _POINTER),
        ("output_stride", _INT64),
    ]


class _GradArgs(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("grad_output", _POINTER),
        ("argmax", _POINTER),
        ("rois", _POINTER),
        ("grad", _POINTER),
        ("scratch", _POINTER),
    ]


class CudaKernels:
    """The functions of a library with the C interface, on addresses of device memory.

    Args:
        library: the shared library.
        stream: the CUDA stream's address; 0 is the default stream.

    The functions return at once, before the device is done.

    Raises:
        CudaError: a launch failed.
    """

    def __init__(self, library: Path, stream: int = 0):
        self.library = ctypes.CDLL(str(library))
        self.library.KerasFrcnnCudaErrorString.restype = ctypes.c_char_p
        self.library.KerasFrcnnCudaGradScratch.restype = _INT64
        self.library.KerasFrcnnCudaAlignGradScratch.restype = _INT64
        self.library.KerasFrcnnPlaceRois.restype = _INT64
        self.stream = stream

    def bins(self, shape: Shape, rois: int, spatial_scale: float, bins: int, first_bad: int):
        """The bins of `rois`; `first_bad` (int64) becomes its own or the first bad row's number."""
        function = self.library.KerasFrcnnCudaBins
        scale = ctypes.c_float(spatial_scale)
        arguments = ctypes.byref(shape), _POINTER(rois), scale, _POINTER(bins), _POINTER(first_bad)
        return self.run(function, *arguments)

    def pool(self, dtype: str, shape: Shape, features, bins, output, argmax, output_stride=None):
        """Pool; `argmax` may be 0; `output_stride` is PH * PW * C where it is not given."""
        stride = shape.ph * shape.pw * shape.c if output_stride is None else output_stride
        args = _PoolArgs(shape, features, bins, output, argmax, stride)
        return self.run(self.library.KerasFrcnnCudaPool, DTYPES.index(dtype), ctypes.byref(args))

    def grad(
        self, dtype: str, shape: Shape, grad_output, argmax, rois, grad, scratch, deterministic
    ):
        """The gradient of the features."""
        args = _GradArgs(shape, grad_output, argmax, rois, grad, scratch)
        function = self.library.KerasFrcnnCudaGrad
        return self.run(function, DTYPES.index(dtype), ctypes.byref(args), int(deterministic))

    def grad_scratch(self, dtype: str, shape: Shape, deterministic: bool) -> int:
        """Bytes of scratch memory that `grad` needs."""
        code = DTYPES.index(dtype)
        return self.library.KerasFrcnnCudaGradScratch(code, ctypes.byref(shape), int(deterministic))

    def describe(self, function, *arguments) -> list[dict]:
        """What each kernel takes that `function(*arguments)`, a method of this, would run."""
        self._infos = (_KernelInfo * 8)()
        try:
            count = function(*arguments)
        finally:
            infos, self._infos = self._infos, None
        return [
            {field: getattr(info, field) for field, _ in _KernelInfo._fields_}
            | {"name": info.name.decode()}
            for info in infos[:count]
        ]

    _infos = None

    def run(self, function, *arguments) -> int:
        """Call a function of the library; gives the number of kernels that it described."""
        call = _Call(self.stream, self._infos, 8 if self._infos else 0, 0)
        error = function(*arguments, ctypes.byref(call))
        if error:
            raise CudaError(self.library.KerasFrcnnCudaErrorString(error).decode())
        return call.info_count


class Memory(Protocol):
    """Where the kernels' memory comes from: a GPU library's arrays, or the host's in a test."""

    def put(self, array: np.ndarray):
        """A buffer with the bytes of `array`."""

    def empty(self, size: int):
        """A buffer of `size` bytes."""

    def get(self, buffer, shape: tuple, dtype: np.dtype) -> np.ndarray:
        """The buffer's bytes as an array, once all work is done."""

    def address(self, buffer) -> int:
        """The buffer's address, aligned to 16 bytes."""


def pool(
    kernels: CudaKernels,
    memory: Memory,
    features: np.ndarray,
    rois: np.ndarray,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    with_argmax: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """`roi_pool` by the kernels, from and to NumPy arrays; argmax None where it is not wanted.

    Raises:
        ValueError: a batch index is outside [0, N) or a coordinate is not finite.
    """
    rois = np.ascontiguousarray(rois, np.float32)
    shape = Shape(*features.shape, len(rois), pooled_height, pooled_width)
    buffers = [memory.put(np.ascontiguousarray(features)), memory.put(rois)]
    bins = memory.empty(4 * len(rois) * (1 + 2 * (pooled_height + pooled_width)))
    first_bad = memory.put(np.array([len(rois)], np.int64))
    at = memory.address
    kernels.bins(shape, at(buffers[1]), spatial_scale, at(bins), at(first_bad))
    bad = int(memory.get(first_bad, (1,), np.dtype(np.int64))[0])
    if bad < len(rois):
        raise ValueError(
            f"rois row {bad} is {rois[bad]}: the batch index must be in [0, {shape.n}) and the"
            " coordinates finite"
        )
    size = (len(rois), pooled_height, pooled_width, shape.c)
    output = memory.empty(int(np.prod(size)) * features.itemsize)
    argmax = memory.empty(int(np.prod(size)) * 4) if with_argmax else None
    argmax_at = at(argmax) if with_argmax else 0
    kernels.pool(features.dtype.name, shape, at(buffers[0]), at(bins), at(output), argmax_at)
    return (
        memory.get(output, size, features.dtype),
        memory.get(argmax, size, np.dtype(np.int32)) if with_argmax else None,
    )


def gradient(
    kernels: CudaKernels,
    memory: Memory,
    grad_output: np.ndarray,
    argmax: np.ndarray,
    rois: np.ndarray,
    features_shape: tuple[int, int, int, int],
    deterministic: bool,
) -> np.ndarray:
    """The gradient of the features by the kernels, from and to NumPy arrays."""
    shape = Shape(*features_shape, *grad_output.shape[:3])
    dtype = grad_output.dtype.name
    arrays = grad_output, np.int32(argmax), np.float32(rois)
    buffers = [memory.put(np.ascontiguousarray(array)) for array in arrays]
    grad = memory.empty(int(np.prod(features_shape)) * grad_output.itemsize)
    scratch = memory.empty(kernels.grad_scratch(dtype, shape, deterministic))
    addresses = [memory.address(buffer) for buffer in (*buffers, grad, scratch)]
    kernels.grad(dtype, shape, *addresses, deterministic)
    return memory.get(grad, tuple(features_shape), grad_output.dtype)
