"""The options that `keras-frcnn bench proposals` and `bench faster-rcnn` share, and their page."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from keras_frcnn.benchmarks.detect_steps import PRECISIONS
from keras_frcnn.benchmarks.proposals_steps import COUNT, SIZE
from keras_frcnn.benchmarks.roi_pool_workload import processor_name
from keras_frcnn.files import replacing


def parser_of(name: str, description: str, out: str) -> argparse.ArgumentParser:
    """The parser of a benchmark on photographs, which is saved as `out` by default."""
    parser = argparse.ArgumentParser(
        prog=f"keras-frcnn bench {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3, help="measurements (%(default)s)")
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help=f"takes its first {COUNT} photographs, cut to 600 x 1000; default: made-up ones",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        action="append",
        help="may be repeated; default: float32, and bfloat16 where the processor multiplies it",
    )
    return parser


def precisions_of(args: argparse.Namespace) -> Sequence[str]:
    """The precisions asked for, by default those that the processor multiplies."""
    from keras_frcnn.training.devices import processor_has_bfloat16

    return args.precision or (PRECISIONS if processor_has_bfloat16() else PRECISIONS[:1])


def conditions(args: argparse.Namespace, photographs: int) -> str:
    """What was measured with, and on how many photographs, as the first sentence of a page."""
    import tensorflow as tf

    return (
        f"{processor_name()}, {args.threads} threads, TensorFlow {tf.__version__}; medians of "
        f"{args.rounds} rounds on {photographs} {'' if args.photos else 'made-up '}photographs of "
        f"{SIZE[0]} x {SIZE[1]} pixels."
    )


def show(text: str, out: Path) -> None:
    """Print a page and save it."""
    print(text)
    with replacing(out) as partial:
        partial.write_text(text, "utf-8")
    print(f"Saved to {out}")
