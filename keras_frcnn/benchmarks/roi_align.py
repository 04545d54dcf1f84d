"""Times RoIAlign: the compiled op and its gradient against ONNX Runtime's `RoiAlign`.

`keras-frcnn bench roi-align` prints a table: a feature pyramid of an 800 x 1216 image with two
samples a bin, and VGG16's last map of a 600 x 1000 image with as many as a bin has cells. The rows
of a workload are measured in turn, round after round; before that, outputs are compared.
`--standalone` checks and times the CUDA kernels without TensorFlow.
"""

import argparse
import os
import statistics
import time

import numpy as np

from keras_frcnn.benchmarks.roi_align_workload import WORKLOADS, Workload
from keras_frcnn.benchmarks.roi_pool_workload import processor_name
from keras_frcnn.benchmarks.tables import markdown, ms

AIM = 4  # times as fast as ONNX Runtime, at least


def main(argv: list[str]) -> int:
    """Measure and print."""
    if "--standalone" in argv:
        from keras_frcnn.benchmarks import roi_align_cuda

        return roi_align_cuda.main(argv)
    parser = argparse.ArgumentParser(prog="keras-frcnn bench roi-align", description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9, help="measurements; medians count")
    args = parser.parse_args(argv)

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    head = ["workload", "float32 (ms)", "bfloat16", "float16", "gradient, float32"]
    rows = [[*head, "ONNX Runtime", "times as fast, float32"]]
    for name, workload in WORKLOADS.items():
        times = measure(workload, args.threads, args.rounds)
        rows.append([name, *map(ms, times), f"{times[-1] / times[0]:.1f}"])
    print(
        f"{processor_name()}, {args.threads} threads, TensorFlow {tf.__version__}; medians of "
        f"{args.rounds} rounds; aim: {AIM} times as fast.\n\n{markdown(rows)}"
    )
    return 0


def measure(workload: Workload, threads: int, rounds: int) -> list[float]:
    """Seconds of the op in float32, bfloat16 and float16, of its gradient, and of ONNX Runtime.

    Raises:
        RuntimeError: there is no compiled op, or the two do not compute the same.
    """
    import tensorflow as tf

    from keras_frcnn.custom_ops import roi_align
    from keras_frcnn.custom_ops.library import load_library

    library = load_library()
    if library is None:
        raise RuntimeError("there is no compiled op to measure; the warning above says why")
    maps, rois, levels = workload.inputs()
    size, scales, ratio = workload.size, workload.scales, workload.ratio

    def forward(dtype):
        typed = [tf.cast(values, dtype) for values in maps]
        return lambda: roi_align(typed, rois, size, size, scales, ratio, levels=levels)

    weights = tf.ones([len(rois), size, size, workload.channels])
    shapes = [tf.constant(values.shape, tf.int32) for values in maps]

    def gradient():
        return library.keras_frcnn_roi_align_grad(
            grad_output=weights,
            rois=rois,
            levels=levels,
            shapes=shapes,
            spatial_scales=scales,
            sampling_ratio=ratio,
        )

    peer = onnx_runtime(workload, maps, rois, levels, threads)
    runs = [*map(forward, (tf.float32, tf.bfloat16, tf.float16)), gradient, peer]
    ours = runs[0]().numpy()
    for level, theirs in enumerate(peer()):
        if not np.array_equal(ours[levels == level], theirs.transpose(0, 2, 3, 1)):
            raise RuntimeError("the op and ONNX Runtime do not compute the same; nothing is timed")
    times = [[] for _ in runs]
    for run in runs:
        run()
    for _ in range(rounds):
        for run, seconds in zip(runs, times, strict=True):
            begun = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begun)
    return [statistics.median(seconds) for seconds in times]


def onnx_runtime(workload: Workload, maps, rois, levels, threads: int):
    """A function that runs ONNX Runtime's RoiAlign on each map; it gives a list of [K, C, S, S]."""
    sessions = [session(workload, scale, threads) for scale in workload.scales]
    feeds = [
        {
            "features": np.ascontiguousarray(values.transpose(0, 3, 1, 2)),
            "boxes": np.ascontiguousarray(rois[levels == level, 1:]),
            "images": np.zeros((levels == level).sum(), np.int64),
        }
        for level, values in enumerate(maps)
    ]
    return lambda: [s.run(None, feed)[0] for s, feed in zip(sessions, feeds, strict=True)]


def session(workload: Workload, scale: float, threads: int):
    """ONNX Runtime's session for one map."""
    import onnx
    import onnxruntime

    node = onnx.helper.make_node(
        "RoiAlign",
        ["features", "boxes", "images"],
        ["output"],
        output_height=workload.size,
        output_width=workload.size,
        sampling_ratio=workload.ratio,
        spatial_scale=scale,
        coordinate_transformation_mode="half_pixel",
    )
    types = {"features": "FLOAT", "boxes": "FLOAT", "images": "INT64", "output": "FLOAT"}
    tensors = [
        onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), None)
        for name, kind in types.items()
    ]
    graph = onnx.helper.make_graph([node], "roi_align", tensors[:3], tensors[3:])
    opset = [onnx.helper.make_opsetid("", 16)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
