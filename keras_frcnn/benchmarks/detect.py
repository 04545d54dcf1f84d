"""Times detection in one image: the exported SavedModels, other libraries, and R-CNN.

`keras-frcnn bench detect` takes VGG16 on 600 x 1000 pixels with 2000 proposals, writes its exports
and the same network as an ONNX graph, checks that all compute the same, and measures them in turn.
Each library is a process of its own. Medians count. See docs/detection_speed.md.
"""

import argparse
import csv
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np

from keras_frcnn.benchmarks.detect_steps import (
    CALLERS,
    DECODED,
    IMAGES,
    NETWORK,
    ONNX_FILE,
    ONNX_RUNTIME,
    OPENVINO,
    PRECISIONS,
    RCNN,
    SERVED,
    Calls,
    Inputs,
    Source,
    Step,
    our_steps,
    peer_steps,
)
from keras_frcnn.benchmarks.detect_tables import (
    format_aims,
    format_calls,
    format_programs,
    format_stages,
    scale_up,
)
from keras_frcnn.benchmarks.roi_pool_workload import (
    POOL_SIZE,
    SPATIAL_SCALE,
    processor_name,
    selective_search_like_rois,
)
from keras_frcnn.benchmarks.train_workload import photograph
from keras_frcnn.benchmarks.turns import OUTPUT, STEP, Program
from keras_frcnn.data.images import open_image
from keras_frcnn.errors import InputError
from keras_frcnn.files import replacing
from keras_frcnn.opencv import opencv
from keras_frcnn.proposals.selective_search import SelectiveSearch

SIZE = (600, 1000)  # pixels of the image made up for the benchmark, height and width
OURS = "keras_frcnn.benchmarks.detect_tensorflow"
SERVING = "keras_frcnn.benchmarks.detect_serving"
PEERS = {ONNX_RUNTIME: ("onnx", "onnxruntime"), OPENVINO: ("onnx", "openvino")}
# Largest difference from ours: of a probability, and of an offset as a share of the largest.
TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (0.03, 0.3)}


@dataclass(frozen=True)
class Result:
    """What one run of the benchmark gave."""

    times: dict[Step, float]  # median wall seconds; R-CNN's for all proposals
    processor: dict[Step, float]  # the same of all threads together
    proposals: int
    distinct: int  # proposals that are left when those on the same cells are taken together
    differences: dict[Step, float]  # of the probabilities from ours, at most


def measure(
    source: Source,
    compression: dict,
    image: np.ndarray,
    proposals: np.ndarray,
    threads: int,
    rounds: int,
    rcnn_sample: int,
    precisions: Sequence[str],
) -> Result:
    """Write the models, check them against each other and time them in turn.

    Args:
        source: of the model.
        compression: arguments of `svd.compress` for the compressed builds.
        image: uint8 RGB [H, W, 3].
        proposals: float32 [R, 4], pixels of `image`.
        threads: processors to use.
        rounds: measurements of each step.
        rcnn_sample: how many proposals R-CNN classifies in a measurement.
        precisions: of `PRECISIONS`.

    Raises:
        RuntimeError: another library computes something else than ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        module = "keras_frcnn.benchmarks.detect_models"
        arguments = (source, compression, image, proposals, folder, precisions)
        with Program(module, threads, *arguments) as writer:
            inputs, distinct = writer.ask("write")
        peers = _start_peers(folder, inputs, threads, precisions)
        differences, taken = {}, {}
        try:
            for precision, svd in itertools.product(precisions, (False, True)):
                module, arguments = OURS, (folder, inputs, rcnn_sample, precision, svd)
                with Program(module, threads, *arguments) as ours:
                    programs = dict.fromkeys(our_steps(precision, svd), ours)
                    for engine, peer in peers.items():
                        programs |= dict.fromkeys(peer_steps(engine, precision, svd), peer)
                    differences |= {} if svd else check(programs, precision, inputs.rois)
                    for step, program in programs.items():  # the first run arranges its weights
                        program.ask((STEP, step))
                    for _ in range(rounds):
                        for step, program in programs.items():
                            taken.setdefault(step, []).append(program.ask((STEP, step)))
        finally:
            for peer in peers.values():
                peer.close()
    times, processor = (
        {step: statistics.median(pair[i] for pair in pairs) for step, pairs in taken.items()}
        for i in (0, 1)
    )
    for column in (times, processor):
        for step in column:
            if step.what == RCNN:
                sample = min(rcnn_sample, len(proposals))
                column[step] = scale_up(column[step], sample, len(proposals))
    return Result(times, processor, len(proposals), distinct, differences)


def measure_calls(threads: int, rounds: int) -> tuple[dict[Calls, float], dict[Calls, float]]:
    """Median wall and processor seconds an image of requests from several threads at once."""
    taken = {Calls(what, callers): [] for callers in CALLERS for what in (SERVED, DECODED)}
    with Program(SERVING, threads) as program:
        for calls in taken:  # the first run arranges its weights
            program.ask((STEP, calls))
        for _ in range(rounds):
            for calls, pairs in taken.items():
                pairs.append(program.ask((STEP, calls)))
    times, processor = (
        {c: statistics.median(pair[i] for pair in pairs) / IMAGES for c, pairs in taken.items()}
        for i in (0, 1)
    )
    return times, processor


def pooled_otherwise(rois: np.ndarray, precision: str) -> np.ndarray:
    """Which RoIs [R, 4] OpenVINO pools from other cells than the definition, bool [R].

    The definition rounds bounds of bins to float32, whereby a RoI of 57 cells ends in a bin of one
    cell more than by exact arithmetic (docs/roi_pool.md); OpenVINO does not. And its bfloat16 is
    also that of the corners, which moves some of them by a cell.
    """
    corners = _corner_cells(rois)
    cells = corners[:, 2:] - corners[:, :2] + 1
    size = (cells.astype(np.float32) / np.float32(POOL_SIZE))[..., None]
    number = np.arange(POOL_SIZE)
    start, end = number * cells[..., None], (number + 1) * cells[..., None]
    differs = np.floor(number.astype(np.float32) * size) != start // POOL_SIZE
    differs |= np.ceil((number + 1).astype(np.float32) * size) != -(-end // POOL_SIZE)
    differs = differs.any(axis=(1, 2))
    if precision == "bfloat16":
        moved = _corner_cells(rois.astype(ml_dtypes.bfloat16).astype(np.float32))
        differs |= (moved != corners).any(axis=1)
    return differs


def check(programs: Mapping[Step, Program], precision: str, rois: np.ndarray) -> dict[Step, float]:
    """The largest difference of each peer's probabilities from ours, in this precision.

    OpenVINO's are compared without the RoIs that are `pooled_otherwise`.

    Raises:
        RuntimeError: a difference is more than rounding.
    """
    differences = {}
    step = Step(NETWORK, precision)
    ours = programs[step].ask((OUTPUT, step))
    scales = {"probabilities": 1.0, "deltas": np.abs(ours["deltas"]).max()}
    for step, program in programs.items():
        if step.engine not in PEERS:
            continue
        theirs = program.ask((OUTPUT, step))
        compared = np.ones(len(rois), bool)
        if step.engine == OPENVINO:
            compared = ~pooled_otherwise(rois, precision)
        for (name, scale), limit in zip(scales.items(), TOLERANCE[precision], strict=True):
            rows = (values[name].reshape(len(rois), -1)[compared] for values in (theirs, ours))
            difference = np.abs(np.subtract(*rows)).max() / scale
            if not difference <= limit:
                raise RuntimeError(
                    f"{step.engine} in {precision} computes another network: its {name} differ by "
                    f"{difference:.2g}, more than {limit:g}"
                )
            if name == "probabilities":
                differences[step] = float(difference)
    return differences


def describe(result: Result, search: float) -> str:
    """The tables and what there is to say about them, in Markdown."""
    distinct, count = result.distinct, result.proposals
    lines = [
        format_aims(result.times),
        "All programs:\n",
        format_programs(result.times),
        f"Stages of a detection, each run by itself on all {count} proposals:\n",
        format_stages(result.times, search),
        f"Of {count} proposals {distinct} fall on distinct cells: pooling and classifying those "
        f"alone, as detect_pixels does, saves {1 - distinct / count:.1%} of both.",
    ]
    for step, difference in result.differences.items():
        lines.append(
            f"{step.engine}, {step.precision}: probabilities differ from ours by {difference:.1e} "
            "at most."
        )
    return "\n".join(lines) + "\n"


def write_csv(path: Path, result: Result, search: float) -> None:
    """A row for each step."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["what", "engine", "precision", "svd", "milliseconds", "processor ms"])
        writer.writerow(["selective search", "OpenCV", "", "", f"{1e3 * search:.2f}", ""])
        for step, seconds in result.times.items():
            numbers = [f"{1e3 * s:.2f}" for s in (seconds, result.processor[step])]
            row = [step.what, step.engine, step.precision, "yes" if step.svd else "no"]
            writer.writerow([*row, *numbers])


def main(argv: list[str]) -> int:
    """Measure, print the tables and save them; the exit status."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench detect", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("detect_benchmark.md"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="measurements (%(default)s)")
    parser.add_argument("--run", help="a run with VGG16; default: random weights")
    parser.add_argument(
        "--image", help="a photograph, with its proposals; default: 600 x 1000 made-up pixels"
    )
    parser.add_argument(
        "--proposals", type=int, default=2000, help="how many at most (%(default)s)"
    )
    parser.add_argument("--svd", default="fc6=1024,fc7=256", help="as in export (%(default)s)")
    parser.add_argument(
        "--rcnn-sample", type=int, default=16, help="proposals that R-CNN warps (%(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        action="append",
        help="may be repeated; default: float32, and bfloat16 where the processor multiplies it",
    )
    args = parser.parse_args(argv)

    import tensorflow as tf

    from keras_frcnn.export.svd import parse_svd
    from keras_frcnn.runs.directory import load_settings
    from keras_frcnn.training.devices import processor_has_bfloat16

    precisions = args.precision or (PRECISIONS if processor_has_bfloat16() else PRECISIONS[:1])
    svd = parse_svd(args.svd)
    if args.run and (trunk := load_settings(Path(args.run)).trunk) != "vgg16":
        raise InputError(f"--run: {args.run} has the trunk {trunk}; the benchmark is of vgg16")
    if args.image:
        image = open_image(args.image)
    else:
        image = photograph(np.random.default_rng(0), *SIZE)
    search, found = _search(image, args.threads)
    if args.image:
        proposals = found[: args.proposals]
    else:
        proposals = selective_search_like_rois(args.proposals, 1, *SIZE)[:, 1:]
    result = measure(
        Source(args.run),
        svd,
        image,
        proposals,
        args.threads,
        args.rounds,
        args.rcnn_sample,
        list(dict.fromkeys(precisions)),
    )
    height, width = image.shape[:2]
    text = (
        f"{processor_name()}, {args.threads} threads, TensorFlow {tf.__version__}; medians of "
        f"{args.rounds} rounds. VGG16, {height} x {width} pixels, {len(proposals)} proposals; SVD "
        f"{args.svd}; R-CNN from {min(args.rcnn_sample, len(proposals))} proposals.\n\n"
        + describe(result, search)
    )
    text += (
        f"\nSqueezeNet at 96 x 128 pixels, requests of one JPEG file, medians of {args.rounds} "
        "rounds:\n\n" + format_calls(*measure_calls(args.threads, args.rounds))
    )
    print(text)
    with replacing(args.out) as partial:
        partial.write_text(text, "utf-8")
    write_csv(args.out.with_suffix(".csv"), result, search)
    print(f"Saved to {args.out} and {args.out.with_suffix('.csv')}")
    return 0


def _start_peers(
    folder: Path, inputs: Inputs, threads: int, precisions: Sequence[str]
) -> dict[str, Program]:
    """The programs of the libraries that are installed and compute in these precisions."""
    programs = {}
    for engine, packages in PEERS.items():
        if not any(peer_steps(engine, precision, False) for precision in precisions):
            continue
        missing = [package for package in packages if not find_spec(package)]
        if missing:
            print(
                f"Without rows for {engine}: {' and '.join(missing)} not installed "
                "(pip install 'keras-frcnn[bench]')"
            )
            continue
        module = "keras_frcnn.benchmarks.detect_peers"
        path = folder / ONNX_FILE
        programs[engine] = Program(module, threads, engine, path, inputs.of_peers(), precisions)
    return programs


def _corner_cells(rois):
    return np.floor(rois * SPATIAL_SCALE + 0.5).astype(int)  # none is negative


def _search(image, threads):
    """The median time of selective search on the image, and its boxes."""
    opencv().setNumThreads(threads)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        boxes = SelectiveSearch()(image)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), boxes
