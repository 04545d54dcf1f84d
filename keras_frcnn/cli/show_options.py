"""The options of `keras-frcnn show`."""

import argparse

from keras_frcnn.cli.training_options import PROPOSAL_KEYS, add_settings

TRAINING_KEYS = (  # what a mini-batch depends on
    "trunk",
    "min_side",
    "max_side",
    "images_per_batch",
    "rois_per_image",
    "bg_iou_low",
    "group_by_aspect",
    "seed",
)


def add_show(sub: argparse.ArgumentParser) -> None:
    """Add what to show, of what, and where the pictures go."""
    sub.add_argument(
        "what",
        choices=("data", "proposals", "samples", "batch", "features"),
        help="ground truth; proposals by their best IoU with an object; the RoIs sampled at a step "
        "of training; the padded batch of that step; what RoI pooling reads of the objects",
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for the pictures")
    sub.add_argument(
        "--run",
        dest="run_dir",
        metavar="RUN",
        help="proposals: by its region proposal network; samples and batch: by its settings; "
        "features: by its network",
    )
    sub.add_argument(
        "--count",
        type=int,
        default=12,
        metavar="N",
        help="images of data, proposals and features (%(default)s)",
    )
    sub.add_argument(
        "--step", type=int, default=0, metavar="N", help="of samples and batch (%(default)s)"
    )
    add_settings(sub, PROPOSAL_KEYS)
    add_settings(sub.add_argument_group("settings of samples and batch"), TRAINING_KEYS)
