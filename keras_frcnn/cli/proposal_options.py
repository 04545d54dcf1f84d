"""The options of `keras-frcnn proposals` and `recall`."""

import argparse

from keras_frcnn.cli.training_options import add_settings
from keras_frcnn.settings import SEARCHES


def add_proposals(sub: argparse.ArgumentParser) -> None:
    """Add the options that say where proposals come from and go."""
    sub.add_argument(
        "--from",
        dest="run_dir",
        metavar="RUN",
        help="run of rpn or faster_rcnn whose network makes them, in place of selective search",
    )
    _add_best(sub)
    sub.add_argument(
        "--count",
        type=_positive,
        metavar="N",
        help="proposals of an image, at most (the run's proposals_test; all that a search finds)",
    )
    sub.add_argument(
        "--out",
        metavar="FILE.npz",
        help="also write them, as --proposals of train and evaluate takes them",
    )
    sub.add_argument(
        "--pictures",
        metavar="DIR",
        help="with --from: draw the sampled anchors, the objectness and the best proposals of the "
        "first images",
    )
    add_settings(sub, ("search", "search_side"))


def add_recall(sub: argparse.ArgumentParser) -> None:
    """Add the options that name the sources to compare."""
    sources = sub.add_argument_group("sources of proposals, any number of them")
    sources.add_argument(
        "--from",
        dest="run_dirs",
        nargs="+",
        action="extend",
        default=[],
        metavar="RUN",
        help="runs of rpn or faster_rcnn: the proposals of their networks",
    )
    sources.add_argument(
        "--proposals",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help=".npz or .mat files, in each of which an image's best proposal comes first",
    )
    sources.add_argument(
        "--search",
        nargs="+",
        action="extend",
        default=[],
        choices=SEARCHES,
        help="selective search, whose order is random: its first n are a random choice",
    )
    add_settings(sources, ("search_side",))
    _add_best(sub)
    sub.add_argument(
        "--out", required=True, metavar="DIR", help="folder for recall.md, recall.csv, recall.png"
    )


def _add_best(sub) -> None:
    sub.add_argument(
        "--best",
        action="store_true",
        help="with --from: the model with the highest mAP in validation rather than the newest",
    )


def _positive(text: str) -> int:
    """The type of options that take a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)
