"""The options of `keras-frcnn client` and `serving`."""

import argparse

from keras_frcnn.cli.training_options import add_settings


def add_client(sub: argparse.ArgumentParser) -> None:
    """Add the options that say which server to ask and what to do with its answers."""
    sub.add_argument("images", metavar="IMAGE", nargs="+", help="JPEG or PNG files")
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
        "has them and how proposals are searched for (default: class 1, class 2, ...)",
    )
    sub.add_argument(
        "--out",
        default="found",
        help="folder for pictures and detections.json (default: %(default)s)",
    )
    sub.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        help="draw detections from this score on (%(default)s)",
    )
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
