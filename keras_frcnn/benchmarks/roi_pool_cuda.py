"""Checks the CUDA kernels by themselves on a GPU, and times them against torchvision's.

`keras-frcnn bench roi-pool --standalone` compiles the kernels, compares them with the NumPy
reference on every test input, prints two tables and saves them. It needs a GPU, CUDA's compiler,
PyTorch and torchvision, and no TensorFlow.
"""

import numpy as np

from keras_frcnn.benchmarks import roi_pool_workload as cpu
from keras_frcnn.benchmarks import standalone
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.custom_ops import cuda_kernels
from keras_frcnn.custom_ops.cases import DTYPES, Case, all_cases, random_cases, same_bits
from keras_frcnn.custom_ops.cuda_kernels import CudaKernels, Memory, Shape
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference

TIMED_DTYPES = ("float32", "float16", "bfloat16")
# name: images, pixels of a padded image, RoIs in all
WORKLOADS = {
    **cpu.WORKLOADS,
    **{f"{name} x 10": (n, size, 10 * count) for name, (n, size, count) in cpu.WORKLOADS.items()},
}
TIMES = ["forward", "forward with argmax", "backward", "deterministic backward"]
TIME_COLUMNS = [
    "workload",
    "implementation",
    "dtype",
    *(f"{name} (µs)" for name in TIMES),
    "torchvision / forward with argmax",
    "torchvision / backward",
    "share of memory bandwidth",
    "cells read (TB/s)",
]


def check(kernels: CudaKernels, memory: Memory, cases: list[Case]) -> int:
    """Compare outputs, argmax and both gradients with the reference, in every dtype.

    Returns:
        How many combinations of input and dtype were compared.

    Raises:
        MismatchError: one differs: outputs and the deterministic gradient in any bit, the other
            gradient by more than the order of a sum accounts for.
    """
    for case in cases:
        for dtype in DTYPES:
            typed = case.with_dtype(dtype)
            output, argmax = roi_pool_reference(typed.features, *typed.arguments)
            for with_argmax in (True, False):
                found = cuda_kernels.pool(
                    kernels, memory, typed.features, *typed.arguments, with_argmax
                )
                standalone.require(same_bits(found[0], output), case, dtype, "output")
                standalone.require(
                    not with_argmax or same_bits(found[1], argmax), case, dtype, "argmax"
                )
            grad_output = np.random.default_rng(0).normal(size=output.shape).astype(output.dtype)
            arguments = grad_output, argmax, typed.rois, typed.features.shape
            expected = roi_pool_grad_reference(*arguments)
            ordered = cuda_kernels.gradient(kernels, memory, *arguments, deterministic=True)
            standalone.require(same_bits(ordered, expected), case, dtype, "deterministic gradient")
            atomic = cuda_kernels.gradient(kernels, memory, *arguments, deterministic=False)
            # A half type may be rounded to its neighbour.
            near = {2: 2e-2, 4: 1e-4, 8: 1e-12}[output.itemsize]
            close = np.isclose(atomic.astype(float), expected.astype(float), near, near).all()
            standalone.require(close, case, dtype, "gradient")
    return len(cases) * len(DTYPES)


def measure(kernels: CudaKernels, workload: str, dtype: str, rounds: int) -> list[dict]:
    """The rows of one workload and dtype: median seconds of each time, ours and torchvision's."""
    import torch
    import torchvision

    n, (height, width), count = WORKLOADS[workload]
    shape, size = _shape(workload), cpu.POOL_SIZE
    rois = torch.from_numpy(cpu.selective_search_like_rois(count, n, height, width)).cuda()
    type_ = getattr(torch, dtype)
    torch.manual_seed(0)
    features = torch.randn(shape.n, shape.h, shape.w, shape.c, device="cuda").relu().to(type_)
    output = torch.empty(count, size, size, shape.c, device="cuda", dtype=type_)
    argmax = torch.empty(output.shape, device="cuda", dtype=torch.int32)
    grad_output, grad = torch.randn_like(output), torch.empty_like(features)
    bins = torch.empty(count, 1 + 4 * size, device="cuda", dtype=torch.int32)
    scratch = [
        torch.empty(kernels.grad_scratch(dtype, shape, ordered), device="cuda", dtype=torch.uint8)
        for ordered in (False, True)
    ]

    def forward(with_argmax):
        kernels.bins(shape, rois.data_ptr(), cpu.SPATIAL_SCALE, bins.data_ptr(), 0)
        where = argmax.data_ptr() if with_argmax else 0
        arguments = features.data_ptr(), bins.data_ptr(), output.data_ptr(), where
        kernels.pool(dtype, shape, *arguments)

    def backward(ordered):
        arrays = grad_output, argmax, rois, grad, scratch[ordered]
        kernels.grad(dtype, shape, *(array.data_ptr() for array in arrays), ordered)

    forward(True)
    bounds = bins.cpu().numpy()[:, 1:].reshape(count, 2, size, 2)
    lengths = np.maximum(bounds[..., 1] - bounds[..., 0], 0).astype(np.int64)
    cells = int((lengths[:, 0].sum(1) * lengths[:, 1].sum(1)).sum())
    runs = [
        lambda: forward(False),
        lambda: forward(True),
        lambda: backward(False),
        lambda: backward(True),
    ]
    ours = {
        "implementation": "ours",
        "bytes": features.nbytes + output.nbytes,
        "cell bytes": cells * shape.c * features.itemsize,
        **dict(zip(TIMES, (standalone.seconds(run, rounds) for run in runs), strict=True)),
    }
    rows = [ours]
    if dtype != "bfloat16":  # which torchvision's kernels do not have
        version = torchvision.__version__
        channels_first = features.permute(0, 3, 1, 2).contiguous()
        arguments = cpu.SPATIAL_SCALE, size, size
        boxes = rois.to(type_)
        pooled, positions = torch.ops.torchvision.roi_pool(channels_first, boxes, *arguments)
        grads = grad_output.permute(0, 3, 1, 2).contiguous()
        theirs = [
            lambda: torch.ops.torchvision.roi_pool(channels_first, boxes, *arguments),
            lambda: torch.ops.torchvision._roi_pool_backward(
                grads, boxes, positions, *arguments, *channels_first.shape
            ),
        ]
        times = dict(
            zip(TIMES[1:3], (standalone.seconds(run, rounds) for run in theirs), strict=True)
        )
        rows.append({"implementation": f"torchvision {version}", **times})
        if dtype == "float32":
            ours["same output"] = torch.equal(pooled.permute(0, 2, 3, 1), output)
    return [{"workload": workload, "dtype": dtype, **row} for row in rows]


def kernel_rows(kernels: CudaKernels) -> list[list[str]]:
    """What each kernel takes of a multiprocessor at the size of detection."""
    shape = _shape("detection")
    aligned = 1 << 20  # an address that is never read
    rows = []
    for dtype in DTYPES:
        infos = []
        for argmax in (0, aligned):
            arguments = dtype, shape, aligned, aligned, aligned, argmax
            infos += kernels.describe(kernels.pool, *arguments)
        for ordered in (False, True):
            infos += kernels.describe(kernels.grad, dtype, shape, *[aligned] * 5, ordered)
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
        ratios = [f"{other[name] / row[name]:.2f}" if name in other else "" for name in TIMES[1:3]]
        rates = ["", ""]
        if "bytes" in row:
            rates = [
                f"{row['bytes'] / row['forward'] / bandwidth:.0%}",
                f"{row['cell bytes'] / row['forward'] / 1e12:.2f}",
            ]
        names = [row["workload"], row["implementation"], row["dtype"]]
        table.append([*names, *times, *ratios, *rates])
    return table


def main(argv: list[str]) -> int:
    """Check, measure, print the tables and save them; the exit status.

    Raises:
        InputError: something that it needs is missing.
        MismatchError: the kernels give wrong results.
    """
    arguments = standalone.parsed(argv, "roi-pool", __doc__)
    kernels = standalone.kernels()
    compared = check(kernels, standalone.TorchMemory(), all_cases() + random_cases(100))
    print(f"{compared} inputs give the reference's results.")
    bandwidth = standalone.copy_bandwidth()
    rows = []
    for workload in WORKLOADS:
        for dtype in TIMED_DTYPES:
            rows += measure(kernels, workload, dtype, arguments.rounds)
    same = all(row["same output"] for row in rows if "same output" in row)
    text = (
        standalone.heading(bandwidth, arguments.rounds)
        + f" In float32 all outputs are{'' if same else ' NOT'} those of torchvision.\n\n"
        + markdown([TIME_COLUMNS, *time_rows(rows, bandwidth)])
        + "\n"
        + markdown([standalone.KERNEL_COLUMNS, *kernel_rows(kernels)])
    )
    standalone.print_and_save(text, arguments.out)
    return 0


def _shape(workload):
    n, size, count = WORKLOADS[workload]
    height, width = map(cpu.cells_along, size)
    return Shape(n, height, width, cpu.CHANNELS, count, cpu.POOL_SIZE, cpu.POOL_SIZE)
