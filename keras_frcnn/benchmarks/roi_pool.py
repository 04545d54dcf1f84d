"""Times RoI max pooling: the compiled op, the portable version, and ONNX Runtime's MaxRoiPool.

`keras-frcnn bench roi-pool` prints one table and saves it. All rows of a workload are measured
in turn, round after round, so that whatever else the machine does meets all of them alike.
"""

import argparse
import contextlib
import gc
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_frcnn.benchmarks.roi_pool_workload import (
    CHANNELS,
    POOL_SIZE,
    SPATIAL_SCALE,
    WORKLOADS,
    cells_along,
    processor_name,
    selective_search_like_rois,
)
from keras_frcnn.files import replacing

COLUMNS = [
    "workload",
    "implementation",
    "device",
    "dtype",
    "forward (ms)",
    "forward with argmax (ms)",
    "backward (ms)",
    "ONNX Runtime / forward",
    "share of memory bandwidth",
]


def max_roi_pool_session(pooled_height, pooled_width, spatial_scale, threads=0):
    """An ONNX Runtime session from `features` [N, C, H, W] and `rois` [K, 5] to `pooled`."""
    import onnx
    import onnxruntime

    node = onnx.helper.make_node(
        "MaxRoiPool",
        ["features", "rois"],
        ["pooled"],
        pooled_shape=[pooled_height, pooled_width],
        spatial_scale=float(spatial_scale),
    )
    tensors = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in [("features", [None] * 4), ("rois", [None, 5]), ("pooled", [None] * 4)]
    ]
    graph = onnx.helper.make_graph([node], "max_roi_pool", tensors[:2], tensors[2:])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def write_bandwidth(threads: int) -> float:
    """Bytes a second that all threads together write into memory they have written before."""
    buffers = [np.zeros(1 << 27, np.uint8) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = min(
            _seconds(lambda: list(pool.map(lambda b: b.fill(1), buffers)))[0] for _ in range(10)
        )
    return sum(buffer.nbytes for buffer in buffers) / seconds


def measure(workload: str, threads: int, rounds: int) -> list[dict]:
    """The table's rows of one workload, with the best time in seconds of each measurement."""
    n, (height, width), count = WORKLOADS[workload]
    rois = selective_search_like_rois(count, n, height, width)
    shape = (n, cells_along(height), cells_along(width), CHANNELS)
    features = np.maximum(np.random.default_rng(1).normal(size=shape), 0).astype(np.float32)
    rows = [
        _onnx_runtime(features, rois, threads),
        *(
            _tensorflow(features, rois, dtype, portable)
            for portable in (True, False)
            for dtype in ("float32", "bfloat16")
        ),
    ]
    rows = [row for row in rows if row]
    for row in rows:
        for run in row["runs"].values():
            run()
    best = [{name: float("inf") for name in row["runs"]} for row in rows]
    for _ in range(rounds):
        for row, times in zip(rows, best, strict=True):
            for name, run in row["runs"].items():
                gc.collect()
                seconds, result = _seconds(run)
                del result
                times[name] = min(times[name], seconds)
    for row, times in zip(rows, best, strict=True):
        del row["runs"]
        row |= {"workload": workload, **times}
        row["bytes"] = np.dtype(
            np.float32 if row["dtype"] == "float32" else np.float16
        ).itemsize * (features.size + count * POOL_SIZE**2 * CHANNELS)
    return rows


def format_table(rows: list[dict], bandwidth: float) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    oracle = {row["workload"]: row["forward"] for row in rows if row["implementation"] == _ONNX}
    for row in rows:
        backward = row["both"] - row["argmax"] if "both" in row else None
        ratio = oracle.get(row["workload"], float("nan")) / row["forward"]
        times = [row["forward"], row.get("argmax"), backward]
        lines.append(
            [
                row["workload"],
                row["implementation"],
                "CPU",
                row["dtype"],
                *("" if seconds is None else f"{1e3 * seconds:.2f}" for seconds in times),
                f"{ratio:.1f}",
                f"{row['bytes'] / row['forward'] / bandwidth:.0%}",
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(argv: list[str]) -> int:
    """Measure, print the table and save it; the exit status."""
    if "--standalone" in argv:
        from keras_frcnn.benchmarks import roi_pool_cuda

        return roi_pool_cuda.main(argv)
    parser = argparse.ArgumentParser(prog="keras-frcnn bench roi-pool", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("roi_pool_benchmark.md"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=10, help="measurements; the best counts")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="default: all")
    arguments = parser.parse_args(argv)

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    bandwidth = write_bandwidth(arguments.threads)
    rows = []
    for workload in arguments.workload or WORKLOADS:
        rows += measure(workload, arguments.threads, arguments.rounds)
    text = (
        f"{processor_name()}, {arguments.threads} threads, TensorFlow {tf.__version__};"
        f" best of {arguments.rounds} rounds; memory is written at {bandwidth / 1e9:.1f} GB/s.\n\n"
        + format_table(rows, bandwidth)
    )
    print(text)
    with replacing(arguments.out) as partial:
        partial.write_text(text, "utf-8")
    print(f"Saved to {arguments.out}")
    return 0


_ONNX = "ONNX Runtime"


def _onnx_runtime(features, rois, threads):
    try:
        session = max_roi_pool_session(POOL_SIZE, POOL_SIZE, SPATIAL_SCALE, threads)
    except ImportError as error:
        print(f"Without a row for ONNX Runtime: {error} (pip install onnx onnxruntime)")
        return None
    feed = {"features": np.ascontiguousarray(features.transpose(0, 3, 1, 2)), "rois": rois}
    runs = {"forward": lambda: session.run(None, feed)}
    return {"implementation": _ONNX, "dtype": "float32", "runs": runs}


def _tensorflow(features, rois, dtype, portable):
    import tensorflow as tf

    from keras_frcnn.custom_ops import portable_ops, roi_pool
    from keras_frcnn.custom_ops.build import build, instruction_set
    from keras_frcnn.custom_ops.library import load_library

    if not portable and load_library() is None:
        return None
    features, rois = tf.cast(features, dtype), tf.constant(rois)
    grad_output = tf.ones([len(rois), POOL_SIZE, POOL_SIZE, CHANNELS], dtype)

    def pool(features):
        return roi_pool(features, rois, POOL_SIZE, POOL_SIZE, SPATIAL_SCALE)

    def both(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            output, _ = pool(features)
        return output, tape.gradient(output, features, grad_output)

    traced = {"forward": lambda f: pool(f)[0], "argmax": pool, "both": both}
    with portable_ops() if portable else contextlib.nullcontext():
        runs = {
            name: tf.function(function, autograph=False).get_concrete_function(
                tf.TensorSpec([None] * 4, dtype)
            )
            for name, function in traced.items()
        }
    name = "built-in ops" if portable else f"compiled op ({instruction_set(build())})"
    runs = {key: (lambda function=function: function(features)) for key, function in runs.items()}
    return {"implementation": name, "dtype": dtype, "runs": runs}


def _seconds(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result
