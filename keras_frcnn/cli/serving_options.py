"""The options of `keras-frcnn export`, `client` and `serving`."""

import argparse
import math

from keras_frcnn.cli.training_options import add_settings
from keras_frcnn.errors import shown

IMAGES_HELP = "JPEG or PNG files, folders of them, or patterns such as 'photos/**/*.jpg'"


def add_export(sub: argparse.ArgumentParser) -> None:
    """Add the options of an export: where it goes and in which form."""
    sub.add_argument("--to", required=True, metavar="DIR", help="the model goes to DIR/VERSION")
    sub.add_argument(
        "--version", type=int, metavar="N", help="its version (default: the next that is free)"
    )
    sub.add_argument("--overwrite", action="store_true", help="replace --version if it exists")
    sub.add_argument(
        "--ops",
        choices=("portable", "custom"),
        default="portable",
        help="RoI pooling by TensorFlow's built-in ops or by the compiled one, which the server "
        "must have loaded (%(default)s)",
    )
    sub.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is for processors that multiply it (%(default)s)",
    )
    sub.add_argument(
        "--svd",
        metavar="SPEC",
        help="compress Dense layers by truncated SVD: fc6=1024,fc7=256 (ranks), energy=0.9 (share "
        "to keep) or latency=0.5 (share of multiply-adds)",
    )
    sub.add_argument(
        "--max-pixels", type=int, metavar="N", help="largest image file to accept (50 million)"
    )
    sub.add_argument(
        "--max-proposals",
        type=int,
        metavar="N",
        help="most proposals to accept at once, memory grows with them (20000); not for detectors "
        "that make their own",
    )


def add_client(sub: argparse.ArgumentParser) -> None:
    """Add the options that say which server to ask and what to do with its answers."""
    sub.add_argument("images", metavar="IMAGE", nargs="+", help=IMAGES_HELP)
    sub.add_argument(
        "--url",
        required=True,
        help="of the model: http://host:8501/v1/models/NAME (REST) or grpc://host:8500/NAME; "
        "/versions/N behind it asks a certain version",
    )
    sub.add_argument(
        "--classes",
        metavar="NAMES",
        help="class names, separated by commas, or assets.extra/model.json of the export, which "
        "has them and whether and how proposals are searched for (default: class 1, class 2, ...; "
        "then the server is asked whether it takes proposals)",
    )
    sub.add_argument(
        "--out",
        default="found",
        help="folder for pictures and lists of detections (default: %(default)s)",
    )
    add_min_score(sub)
    sub.add_argument(
        "--timeout", type=float, default=60, help="seconds to wait for an answer (%(default)s)"
    )
    sub.add_argument(
        "--retries",
        type=int,
        default=4,
        help="how often to ask again while the server cannot be reached or is too busy "
        "(%(default)s)",
    )
    add_max_pixels(sub)
    add_settings(sub, ("search", "search_side"))


def add_min_score(sub: argparse.ArgumentParser) -> None:
    """Add the score from which detections are drawn."""
    sub.add_argument(
        "--min-score",
        type=_score,
        default=0.5,
        help="draw detections from this score on (%(default)s)",
    )


def add_max_pixels(sub: argparse.ArgumentParser) -> None:
    """Add the limit of the images that a command opens: a small file may hold a huge one."""
    sub.add_argument(
        "--max-pixels",
        type=int,
        default=50_000_000,
        metavar="N",
        help="largest image to open, height times width (50 million)",
    )


def add_serving(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command that writes the files for TensorFlow Serving."""
    sub.add_argument("--to", required=True, metavar="DIR", help="new folder for the files")


def _score(text: str) -> float:
    """The type of options that take a score."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {shown(text)}")
    return score
