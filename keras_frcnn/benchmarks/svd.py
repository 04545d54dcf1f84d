"""Sweeps the ranks of truncated SVD (Girshick 2015, section 3.1): size, latency and mAP.

`keras-frcnn bench svd` compresses VGG16's fc6 and fc7 to many ranks, times the heads and the whole
network in turn, with 2000 proposals in 600 x 1000 pixels, and evaluates each on a data set if it
is given a run. Medians count. Saved are a table, a CSV file and a plot.
"""

import argparse
import csv
import gc
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_frcnn import data
from keras_frcnn.benchmarks.detect_models import build_detector, make_inputs
from keras_frcnn.benchmarks.detect_steps import PRECISIONS, Inputs, Source
from keras_frcnn.benchmarks.roi_pool_workload import processor_name, selective_search_like_rois
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.train_workload import photograph
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.evaluation.voc import METRICS
from keras_frcnn.export.frozen import TracedDetector
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.svd import Decomposition, choose_ranks, compress, decompose
from keras_frcnn.files import replacing
from keras_frcnn.models.heads import FULLY_CONNECTED, REGION_LAYER
from keras_frcnn.pictures.charts import line_chart
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.runs.directory import load_settings

SIZE = (600, 1000)
PAPER = {"fc6": 1024, "fc7": 256}
FC6 = (256, 512, 1024, 2048, 4096)  # with fc7 at the paper's rank
FC7 = (64, 128, 256, 512, 1024)  # with fc6 at the paper's rank
ENERGIES = (0.5, 0.7, 0.9)
# Girshick 2015, table 4 and section 4.4: one K40, without proposals; VOC 2007 test.
PAPER_ROWS = (
    ["paper, without", "", "", "", "", "", "320", "", "66.9"],
    ["paper, fc6=1024,fc7=256", "1024", "256", "", "", "", "220", "0.69", "66.6"],
)


@dataclass
class Row:
    """What was measured of one choice of ranks."""

    name: str
    ranks: dict[str, int]  # of the layers that became two
    parameters: int
    bytes: int
    heads: float = float("nan")  # median seconds, fc6 and all after it
    network: float = float("nan")
    mean_ap: float = float("nan")


def choices(model: keras.Model, decompositions: dict[str, Decomposition]) -> dict[str, dict]:
    """Ranks by name: none, those of the sweep that the layers have, and by energy."""
    swept = [{"fc6": rank, "fc7": PAPER["fc7"]} for rank in FC6]
    swept += [{"fc6": PAPER["fc6"], "fc7": rank} for rank in FC7 if rank != PAPER["fc7"]]
    found = {"without": {}}
    for ranks in swept:
        if all(rank <= decompositions[layer].rank for layer, rank in ranks.items()):
            found[",".join(f"{layer}={rank}" for layer, rank in ranks.items())] = ranks
    for energy in ENERGIES:
        found[f"energy={energy:g}"] = choose_ranks(decompositions, model, energy)
    return found


class Variants:
    """The network of a detector with its heads compressed in several ways, ready to be timed.

    The trunk is one for all, with constant kernels as in an export.

    Args:
        detector: in float32.
        found: ranks by name.
        decompositions: of the layers with ranks.
        precision: that the networks compute in.
        inputs: that they run on.
    """

    def __init__(
        self,
        detector: Detector,
        found: dict[str, dict],
        decompositions: dict[str, Decomposition],
        precision: str,
        inputs: Inputs,
    ):
        model = with_precision(detector.model, precision)
        pool = model.get_layer(REGION_LAYER)
        trunk_model = keras.Model(model.input, {"features": pool.input[0]})
        trunk = TracedDetector(detector, trunk_model)
        images, rois = tf.constant(inputs.scaled), tf.constant(inputs.rois[None])
        no_rois = tf.zeros([1, 0, 4])
        self.rows: dict[str, Row] = {}
        self.heads: dict[str, Callable[[], dict]] = {}
        self.networks: dict[str, Callable[[], dict]] = {}
        pooled = pool(trunk.network(images, no_rois)["features"], rois)
        whole = _heads(detector.model)
        for name, ranks in found.items():
            heads = compress(whole, ranks, decompositions=decompositions) if ranks else whole
            if precision != PRECISIONS[0]:
                heads = with_precision(heads, precision)

            def classify(pooled, heads=heads):
                return heads(pooled, training=False)

            def network(images, rois, heads=heads):
                return heads(pool(trunk.network(images, no_rois)["features"], rois), training=False)

            self.heads[name] = _traced(classify, pooled)
            self.networks[name] = _traced(network, images, rois)
            weights = [*trunk_model.weights, *heads.weights]
            self.rows[name] = Row(
                name,
                ranks,
                sum(int(np.prod(w.shape)) for w in weights),
                sum(int(np.prod(w.shape)) * w.value.dtype.size for w in weights),
            )

    def measure(self, rounds: int) -> None:
        """Fill in the times of the rows, all variants in turn."""
        runs = {("heads", name): run for name, run in self.heads.items()}
        runs |= {("network", name): run for name, run in self.networks.items()}
        taken = {key: [] for key in runs}
        for i in range(rounds + 1):  # the first round arranges weights
            for key, run in runs.items():
                gc.collect()
                start = time.perf_counter()
                run()
                if i:
                    taken[key].append(time.perf_counter() - start)
        for (what, name), seconds in taken.items():
            setattr(self.rows[name], what, statistics.median(seconds))


def format_table(rows: Sequence[Row]) -> str:
    """The rows, the first of which is without SVD, and the paper's as a Markdown table."""
    lines = [
        [
            "SVD",
            "rank of fc6",
            "rank of fc7",
            "parameters (million)",
            "MB",
            "heads (ms)",
            "network (ms)",
            "network / without",
            "mAP (%)",
        ]
    ]
    for row in rows:
        known = not np.isnan(row.mean_ap)
        lines.append(
            [
                row.name,
                *(str(row.ranks.get(layer, "full")) for layer in FULLY_CONNECTED),
                f"{row.parameters / 1e6:.1f}",
                f"{row.bytes / 1e6:.0f}",
                f"{1e3 * row.heads:.1f}",
                f"{1e3 * row.network:.0f}",
                f"{row.network / rows[0].network:.2f}",
                f"{100 * row.mean_ap:.1f}" if known else "not measured",
            ]
        )
    return markdown([*lines, *PAPER_ROWS])


def draw(rows: Sequence[Row]) -> Image.Image:
    """Latency, and mAP where it is known, over the rank of each layer."""
    charts = []
    for layer, other in (FULLY_CONNECTED, FULLY_CONNECTED[::-1]):
        swept = [
            row
            for row in rows
            if layer in row.ranks
            and row.ranks.get(other) == PAPER[other]
            and row.name.startswith("fc6")
        ]
        swept.sort(key=lambda row: row.ranks[layer])
        if not swept:
            continue
        quantity, ranks = f"rank of {layer}", [row.ranks[layer] for row in swept]
        others = f"{other} at rank {PAPER[other]}"
        lines = {
            "network": [1e3 * row.network for row in swept],
            "heads": [1e3 * row.heads for row in swept],
        }
        charts.append(line_chart(f"Milliseconds, {others}", quantity, ranks, lines))
        if not all(np.isnan(row.mean_ap) for row in swept):
            lines = {"mAP": [100 * row.mean_ap for row in swept]}
            charts.append(line_chart(f"mAP (%), {others}", quantity, ranks, lines))
    if not charts:
        raise InputError("bench svd: no rank of the sweep fits layers as small as these")
    image = Image.new("RGB", (charts[0].width, sum(c.height for c in charts)), "white")
    top = 0
    for chart in charts:
        image.paste(chart, (0, top))
        top += chart.height
    return image


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A line for each row."""
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = ["svd", *FULLY_CONNECTED, "parameters", "bytes", "heads ms", "network ms", "mAP"]
        writer.writerow(names)
        for row in rows:
            ranks = [row.ranks.get(layer, "") for layer in FULLY_CONNECTED]
            times = [f"{1e3 * row.heads:.3f}", f"{1e3 * row.network:.3f}"]
            mean_ap = "" if np.isnan(row.mean_ap) else f"{row.mean_ap:.6f}"
            writer.writerow([row.name, *ranks, row.parameters, row.bytes, *times, mean_ap])


def main(argv: list[str]) -> int:
    """Measure, print the table and save it with its plot; the exit status."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench svd", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("svd_benchmark.md"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="measurements (%(default)s)")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--proposals", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--run", help="a training; default: VGG16 with random weights")
    parser.add_argument("--data", help="with --run: data set to measure mAP on, as in evaluate")
    parser.add_argument("--split", help="its split")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its data")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0])
    args = parser.parse_args(argv)
    if args.data and not args.run:
        raise InputError("--data: random weights have no mAP; name a --run as well")

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    detector = build_detector(Source(args.run))
    image = photograph(np.random.default_rng(0), *SIZE)
    proposals = selective_search_like_rois(args.proposals, 1, *SIZE)[:, 1:]
    decompositions = decompose(detector.model)
    found = choices(detector.model, decompositions)
    inputs = make_inputs(detector, image, proposals)
    variants = Variants(detector, found, decompositions, args.precision, inputs)
    variants.measure(args.rounds)
    rows = list(variants.rows.values())
    if args.data:
        del variants  # memory
        _evaluate(rows, detector, decompositions, args)
    height, width = inputs.scaled.shape[1:3]
    text = (
        f"{processor_name()}, {args.threads} threads, TensorFlow {tf.__version__}; medians of "
        f"{args.rounds} rounds. {detector.model.name}, {args.precision}, {height} x {width} "
        f"pixels, {args.proposals} proposals; {'mAP on ' + args.data if args.data else 'no mAP'}."
        f"\n\n{format_table(rows)}"
    )
    print(text)
    with replacing(args.out) as partial:
        partial.write_text(text, "utf-8")
    write_csv(args.out.with_suffix(".csv"), rows)
    with replacing(args.out.with_suffix(".png")) as partial:
        draw(rows).save(partial)
    print(f"Saved to {args.out}, and beside it as .csv and .png")
    return 0


def _evaluate(rows, detector, decompositions, args):
    """Fill in the mAP of the rows, in float32."""
    settings = load_settings(Path(args.run))
    dataset = data.load(args.data, args.split, settings.class_names, args.data_dir)
    images = proposals_of(dataset, settings)
    for row in rows:
        model = detector.model
        if row.ranks:
            model = compress(model, row.ranks, decompositions=decompositions)
        compressed = Detector(model, detector.pixel_means, detector.min_side, detector.max_side)
        _, result = evaluate_detector(compressed, images, args.metric)
        row.mean_ap = result.mean_ap


def _heads(model):
    """A copy of all that follows RoI pooling, in float32."""
    heads = keras.Model(model.get_layer(REGION_LAYER).output, model.output)
    return with_precision(heads, "float32")


def _traced(function, *arguments):
    """A function without arguments that runs a graph of `function` on these tensors."""
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in arguments]
    concrete = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    return lambda: concrete(*arguments)
