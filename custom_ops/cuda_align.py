"""Calls RoIAlign's CUDA kernels through their C interface (roi_align_cuda.h), without TensorFlow.

Shape letters: L levels of a pyramid, N images, H x W cells of a feature map, C channels, K RoIs,
PH x PW bins.
"""

import ctypes
from collections.abc import Sequence

import numpy as np

from keras_frcnn.custom_ops.cuda_kernels import DTYPES, CudaKernels, Memory, Shape

_POINTER, _INT64 = ctypes.c_void_p, ctypes.c_int64

_AXIS = [("start", np.float32), ("bin", np.float32), ("count", np.int32)]
# PlacedRoi in roi_align_axis.h.
PLACED = np.dtype(
    [("row", np.int32), ("level", np.int32), ("image", np.int32), ("y", _AXIS), ("x", _AXIS)]
)
# RoiFault there.
_FAULTS = (
    "",
    "the batch index is outside the images",
    "the coordinates are not finite",
    "too many samples a bin along an axis",
)


class _Grid(ctypes.Structure):
    _fields_ = [
        ("ph", _INT64),
        ("pw", _INT64),
        ("sampling_ratio", _INT64),
        ("aligned", ctypes.c_bool),
    ]


class _AlignArgs(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("features", _POINTER),
        ("rois", _POINTER),
        ("output", _POINTER),
    ]


class _AlignGradArgs(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("grad_output", _POINTER),
        ("rois", _POINTER),
        ("grad", _POINTER),
        ("scratch", _POINTER),
    ]


def place(
    kernels: CudaKernels,
    rois: np.ndarray,
    rows: np.ndarray,
    size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    images: int,
) -> np.ndarray:
    """The `rows` of `rois` [K, 5] on their map: an array of `PLACED`. Runs on the host.

    Raises:
        ValueError: a row cannot be used; it is named.
    """
    chosen = np.ascontiguousarray(rois[rows], np.float32)
    placed, fault = np.zeros(len(chosen), PLACED), ctypes.c_int(0)
    grid = _Grid(*size, max(sampling_ratio, 0), aligned)
    good = kernels.library.KerasFrcnnPlaceRois(
        _POINTER(chosen.ctypes.data),
        _INT64(len(chosen)),
        ctypes.c_float(spatial_scale),
        ctypes.byref(grid),
        _INT64(images),
        _POINTER(placed.ctypes.data),
        ctypes.byref(fault),
    )
    if good < len(chosen):
        raise ValueError(f"rois row {rows[good]} is {chosen[good]}: {_FAULTS[fault.value]}")
    placed["row"] = rows
    return placed


def launch_align(kernels: CudaKernels, dtype: str, shape: Shape, features, rois, output) -> int:
    """RoIAlign of the placed RoIs of one map, on addresses of device memory."""
    args = _AlignArgs(shape, features, rois, output)
    code = DTYPES.index(dtype)
    return kernels.run(kernels.library.KerasFrcnnCudaAlign, code, ctypes.byref(args))


def launch_gradient(
    kernels: CudaKernels,
    dtype: str,
    shape: Shape,
    grad_output,
    rois,
    grad,
    scratch,
    deterministic: bool,
) -> int:
    """The gradient of one map, on addresses of device memory."""
    args = _AlignGradArgs(shape, grad_output, rois, grad, scratch)
    function = kernels.library.KerasFrcnnCudaAlignGrad
    return kernels.run(function, DTYPES.index(dtype), ctypes.byref(args), int(deterministic))


def scratch_bytes(kernels: CudaKernels, dtype: str, shape: Shape, deterministic: bool) -> int:
    """Bytes of scratch memory that `launch_gradient` needs."""
    function = kernels.library.KerasFrcnnCudaAlignGradScratch
    return function(DTYPES.index(dtype), ctypes.byref(shape), int(deterministic))


def align(
    kernels: CudaKernels,
    memory: Memory,
    features: Sequence[np.ndarray],
    rois: np.ndarray,
    levels: np.ndarray,
    pooled_height: int,
    pooled_width: int,
    spatial_scales: Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> np.ndarray:
    """`roi_align_reference` by the kernels, from and to NumPy arrays.

    Raises:
        ValueError: a row of `rois` cannot be used; it is named.
    """
    size, dtype = (pooled_height, pooled_width), features[0].dtype
    whole = len(rois), *size, features[0].shape[3]
    output = memory.empty(int(np.prod(whole)) * dtype.itemsize)
    for level, (map_, scale) in enumerate(zip(features, spatial_scales, strict=True)):
        rows, grid = np.flatnonzero(levels == level), (size, scale, sampling_ratio, aligned)
        placed = memory.put(place(kernels, rois, rows, *grid, map_.shape[0]))
        addresses = (memory.address(b) for b in (memory.put(map_), placed, output))
        launch_align(kernels, dtype.name, Shape(*map_.shape, len(rows), *size), *addresses)
    return memory.get(output, whole, dtype)


def align_gradient(
    kernels: CudaKernels,
    memory: Memory,
    grad_output: np.ndarray,
    rois: np.ndarray,
    levels: np.ndarray,
    shapes: Sequence[tuple],
    spatial_scales: Sequence[float],
    sampling_ratio: int = 0,
    aligned: bool = True,
    *,
    deterministic: bool,
) -> list[np.ndarray]:
    """`roi_align_grad_reference` by the kernels, from and to NumPy arrays."""
    size, dtype = grad_output.shape[1:3], grad_output.dtype
    gradients, grads_there = [], memory.put(grad_output)
    for level, (of_map, scale) in enumerate(zip(shapes, spatial_scales, strict=True)):
        rows, grid = np.flatnonzero(levels == level), (size, scale, sampling_ratio, aligned)
        placed = memory.put(place(kernels, rois, rows, *grid, of_map[0]))
        shape = Shape(*of_map, len(rows), *size)
        grad = memory.empty(int(np.prod(of_map)) * dtype.itemsize)
        scratch = memory.empty(scratch_bytes(kernels, dtype.name, shape, deterministic))
        addresses = (memory.address(b) for b in (grads_there, placed, grad, scratch))
        launch_gradient(kernels, dtype.name, shape, *addresses, deterministic)
        gradients.append(memory.get(grad, tuple(of_map), dtype))
    return gradients
