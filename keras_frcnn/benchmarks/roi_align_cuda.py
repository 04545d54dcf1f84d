"""Checks RoIAlign's CUDA kernels by themselves on a GPU, and times them against torchvision's.

`keras-frcnn bench roi-align --standalone` compiles the kernels, compares them with the NumPy
reference on every test input, prints two tables and saves them. It needs a GPU, CUDA's compiler,
PyTorch and torchvision, and no TensorFlow.
"""

import numpy as np

from keras_frcnn.benchmarks import standalone
from keras_frcnn.benchmarks.roi_align_workload import WORKLOADS, Workload
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.custom_ops import cuda_align
from keras_frcnn.custom_ops.align_cases import AlignCase, all_cases, random_cases, same
from keras_frcnn.custom_ops.align_reference import roi_align_grad_reference, roi_align_reference
from keras_frcnn.custom_ops.cases import DTYPES
from keras_frcnn.custom_ops.cuda_kernels import CudaKernels, Memory, Shape

MODES = ((0, True), (0, False), (2, True), (3, False))  # sampling ratio, aligned
TIMED_DTYPES = ("float32", "float16", "bfloat16")
TIMES = ["forward", "backward", "deterministic backward"]
TIME_COLUMNS = [
    "workload",
    "implementation",
    "dtype",
    *(f"{name} (µs)" for name in TIMES),
    "torchvision / forward",
    "torchvision / backward",
    "share of memory bandwidth",
]


def check(kernels: CudaKernels, memory: Memory, cases: list[AlignCase]) -> int:
    """Compare outputs and both gradients with the reference, in every dtype and mode.

    Returns:
        How many combinations of input, dtype and mode were compared.

    Raises:
        MismatchError: one differs: outputs and the deterministic gradient in any bit, the other
            gradient by more than the order of a sum accounts for.
    """
    for case in cases:
        for dtype in DTYPES:
            typed = case.with_dtype(dtype)
            for mode in MODES:
                _check(kernels, memory, typed, dtype, mode)
    return len(cases) * len(DTYPES) * len(MODES)


def _check(kernels, memory, case, dtype, mode):
    arguments = case.rois, case.levels, *case.size, case.scales, *mode
    output = roi_align_reference(case.maps, *arguments)
    found = cuda_align.align(kernels, memory, case.maps, *arguments)
    standalone.require(same(found, output), case, dtype, "output")
    grad_output = np.random.default_rng(0).normal(size=output.shape).astype(output.dtype)
    shapes = [values.shape for values in case.maps]
    arguments = grad_output, case.rois, case.levels, shapes, case.scales, *mode
    expected = roi_align_grad_reference(*arguments)
    ordered = cuda_align.align_gradient(kernels, memory, *arguments, deterministic=True)
    atomic = cuda_align.align_gradient(kernels, memory, *arguments, deterministic=False)
    for right, ours, other in zip(expected, ordered, atomic, strict=True):
        standalone.require(same(ours, right), case, dtype, "deterministic gradient")
        # A half type may be rounded to its neighbour.
        near = {2: 2e-2, 4: 1e-4, 8: 1e-12}[right.itemsize]
        close = np.isclose(other.astype(float), right.astype(float), near, near, equal_nan=True)
        standalone.require(close.all(), case, dtype, "gradient")


def measure(kernels: CudaKernels, name: str, dtype: str, rounds: int) -> list[dict]:
    """The rows of one workload and dtype: median seconds of each time, ours and torchvision's."""
    import torch
    import torchvision

    workload, type_ = WORKLOADS[name], getattr(torch, dtype)
    arrays, rois, levels = workload.inputs()
    size, channels = workload.size, workload.channels
    maps = [torch.from_numpy(values).cuda().to(type_) for values in arrays]
    output = torch.empty(len(rois), size, size, channels, device="cuda", dtype=type_)
    grad_output, grads = torch.randn_like(output), [torch.empty_like(values) for values in maps]
    memory, parts = standalone.TorchMemory(), []
    for level, (values, scale) in enumerate(zip(maps, workload.scales, strict=True)):
        rows = np.flatnonzero(levels == level)
        shape = Shape(*values.shape, len(rows), size, size)
        grid = (size, size), scale, workload.ratio, True
        placed = memory.put(cuda_align.place(kernels, rois, rows, *grid, values.shape[0]))
        scratch = [
            memory.empty(cuda_align.scratch_bytes(kernels, dtype, shape, ordered))
            for ordered in (False, True)
        ]
        parts.append((shape, placed, scratch))

    def forward():
        for values, (shape, placed, _) in zip(maps, parts, strict=True):
            addresses = values.data_ptr(), placed.data_ptr(), output.data_ptr()
            cuda_align.launch_align(kernels, dtype, shape, *addresses)

    def backward(ordered):
        for grad, (shape, placed, scratch) in zip(grads, parts, strict=True):
            buffers = grad_output, placed, grad, scratch[ordered]
            addresses = (buffer.data_ptr() for buffer in buffers)
            cuda_align.launch_gradient(kernels, dtype, shape, *addresses, ordered)

    runs = forward, lambda: backward(False), lambda: backward(True)
    ours = {
        "implementation": "ours",
        "bytes": output.nbytes + sum(values.nbytes for values in maps),
        **dict(zip(TIMES, (standalone.seconds(run, rounds) for run in runs), strict=True)),
    }
    result = [ours]
    if dtype != "bfloat16":  # which torchvision's kernels do not have
        runs, pooled = _torchvision(workload, maps, rois, levels, grad_output)
        times = (standalone.seconds(run, rounds) for run in runs)
        version = f"torchvision {torchvision.__version__}"
        result.append({"implementation": version, **dict(zip(TIMES, times, strict=False))})
        ours["difference"] = max(
            (
                float((theirs.permute(0, 2, 3, 1) - output[rows]).abs().max())
                for rows, theirs in pooled
                if len(rows)
            ),
            default=0.0,
        )
    return [{"workload": name, "dtype": dtype, **row} for row in result]


def _torchvision(workload: Workload, maps, rois, levels, grad_output):
    """Its forward and backward pass on the levels, and the output of each with its rows."""
    import torch

    parts = []
    for level, (values, scale) in enumerate(zip(maps, workload.scales, strict=True)):
        rows = torch.from_numpy(np.flatnonzero(levels == level)).cuda()
        channels_first = values.permute(0, 3, 1, 2).contiguous()
        boxes = torch.from_numpy(rois).cuda().to(values.dtype)[rows]
        grads = grad_output[rows].permute(0, 3, 1, 2).contiguous()
        grid = scale, workload.size, workload.size
        parts.append((rows, channels_first, boxes, grads, grid))

    def forward():
        align = torch.ops.torchvision.roi_align
        return [
            (rows, align(values, boxes, *grid, workload.ratio, True))
            for rows, values, boxes, _, grid in parts
        ]

    def backward():
        align = torch.ops.torchvision._roi_align_backward
        for _, values, boxes, grads, grid in parts:
            align(grads, boxes, *grid, *values.shape, workload.ratio, True)

    return (forward, backward), forward()


def kernel_rows(kernels: CudaKernels) -> list[list[str]]:
    """What each kernel takes of a multiprocessor at the size of the last workload."""
    workload = list(WORKLOADS.values())[-1]
    size = workload.size, workload.size
    shape = Shape(1, *workload.cells[0], workload.channels, workload.rois, *size)
    aligned = 1 << 20  # an address that is never read
    rows = []
    for dtype in DTYPES:
        infos = kernels.describe(
            cuda_align.launch_align, kernels, dtype, shape, aligned, aligned, aligned
        )
        for ordered in (False, True):
            infos += kernels.describe(
                cuda_align.launch_gradient, kernels, dtype, shape, *[aligned] * 4, ordered
            )
        rows += [standalone.kernel_row(info, dtype) for info in infos]
    return rows


def time_rows(rows: list[dict], bandwidth: float) -> list[list[str]]:
    """The table of times, of rows as `measure` returns them."""
    theirs = {
        (row["workload"], row["dtype"]): row for row in rows if row["implementation"] != "ours"
    }
    table = []
    for row in rows:
        other = theirs.get((row["workload"], row["dtype"]), {})
        times = [f"{1e6 * row[name]:.1f}" if name in row else "" for name in TIMES]
        ratios = [f"{other[name] / row[name]:.2f}" if name in other else "" for name in TIMES[:2]]
        share = f"{row['bytes'] / row['forward'] / bandwidth:.0%}" if "bytes" in row else ""
        names = [row["workload"], row["implementation"], row["dtype"]]
        table.append([*names, *times, *ratios, share])
    return table


def main(argv: list[str]) -> int:
    """Check, measure, print the tables and save them; the exit status.

    Raises:
        InputError: something that it needs is missing.
        MismatchError: the kernels give wrong results.
    """
    arguments = standalone.parsed(argv, "roi-align", __doc__)
    kernels = standalone.kernels()
    compared = check(kernels, standalone.TorchMemory(), all_cases() + random_cases(50))
    print(f"{compared} inputs give the reference's results.")
    bandwidth = standalone.copy_bandwidth()
    rows = []
    for name in WORKLOADS:
        for dtype in TIMED_DTYPES:
            rows += measure(kernels, name, dtype, arguments.rounds)
    differences = {
        dtype: max(row["difference"] for row in rows if row["dtype"] == dtype and "bytes" in row)
        for dtype in TIMED_DTYPES[:2]
    }
    said = ", ".join(f"{value:.2g} in {dtype}" for dtype, value in differences.items())
    text = (
        standalone.heading(bandwidth, arguments.rounds)
        + f" Outputs differ from torchvision's by at most {said}.\n\n"
        + markdown([TIME_COLUMNS, *time_rows(rows, bandwidth)])
        + "\n"
        + markdown([standalone.KERNEL_COLUMNS, *kernel_rows(kernels)])
    )
    standalone.print_and_save(text, arguments.out)
    return 0
