"""The network of `keras-frcnn bench detect` in ONNX Runtime and OpenVINO, from one ONNX file."""

from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from keras_frcnn.benchmarks.detect_steps import ONNX_RUNTIME, Step, peer_steps
from keras_frcnn.benchmarks.turns import answer_named

OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
OUTPUTS = ("probabilities", "deltas")


def onnx_runtime(
    path: Path, feed: Mapping[str, np.ndarray], threads: int
) -> Callable[[], dict[str, np.ndarray]]:
    """A function that runs the graph on `feed` in float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: dict(zip(OUTPUTS, session.run(OUTPUTS, feed), strict=True))


def openvino(
    path: Path, feed: Mapping[str, np.ndarray], threads: int, precision: str
) -> Callable[[], dict[str, np.ndarray]]:
    """A function that runs the graph on `feed`."""
    from openvino import Core

    compiled = Core().compile_model(
        str(path),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )

    def run():
        results = compiled(feed)
        return {name: results[name] for name in OUTPUTS}

    return run


def serve(
    pipe: Connection,
    threads: int,
    engine: str,
    path: Path,
    feed: Mapping[str, np.ndarray],
    precisions: Sequence[str],
) -> None:
    """Answer for the steps of one library (`turns.answer_named`)."""
    runs: dict[Step, Callable] = {}
    for precision in precisions:
        steps = peer_steps(engine, precision, False) + peer_steps(engine, precision, True)
        if not steps:
            continue
        if engine == ONNX_RUNTIME:
            run = onnx_runtime(path, feed, threads)
        else:
            run = openvino(path, feed, threads, precision)
        runs |= dict.fromkeys(steps, run)
    answer_named(pipe, runs)
