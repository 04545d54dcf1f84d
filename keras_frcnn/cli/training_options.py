"""The options of `keras-frcnn train`."""

import argparse


def add_training(sub: argparse.ArgumentParser) -> None:
    """Add the options that say how to train; None stands for what the user leaves to the rest."""
    sub.add_argument("--out", required=True, metavar="RUN", help="run directory to make")
    sub.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    sub.add_argument("--recipe", metavar="NAME", help="settings to begin with: keras-frcnn recipes")
    sub.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="any setting, in place of the recipe's: steps=4000 min_side=480,576 (all of them: "
        "keras-frcnn recipes NAME)",
    )
    sub.add_argument(
        "--from",
        dest="initial",
        metavar="RUN",
        help="start from the detector of another run; its last layers only if it has the classes",
    )
    sub.add_argument("--trunk", help="vgg16 (default), vgg_cnn_m_1024 or squeezenet")
    sub.add_argument(
        "--weights",
        help="pretrained weights: imagenet (vgg16 only, downloaded), an HDF5 file, or none for "
        "random ones (default: imagenet for vgg16, none for the others)",
    )
    sub.add_argument("--steps", type=int, help="mini-batches (paper: 40000)")
    sub.add_argument("--rate", type=float, help="learning rate (paper: 0.001)")
    sub.add_argument(
        "--decay-at", type=_integers, help="steps at which the rate drops tenfold (paper: 30000)"
    )
    sub.add_argument(
        "--warmup", type=int, help="steps over which the rate first rises linearly (0)"
    )
    sub.add_argument("--l2", type=float, help="weight decay (paper: 0.0005)")
    sub.add_argument("--dropout", type=float, help="rate after fc6 and fc7 (0.5)")
    sub.add_argument("--fc-units", type=_integers, help="units of fc6,fc7 (4096,4096 for vgg16)")
    sub.add_argument(
        "--min-side",
        type=_integers,
        help="shorter side of scaled images in pixels (600); several, separated by commas, for "
        "multi-scale training",
    )
    sub.add_argument("--max-side", type=int, help="longer side at most (1000)")
    sub.add_argument("--rois-per-image", type=int, help="RoIs sampled from an image (64)")
    sub.add_argument("--seed", type=int, help="of weights, order, flips and sampling (0)")
    sub.add_argument(
        "--precision", choices=("float32", "mixed_bfloat16"), help="default: by processor"
    )
    sub.add_argument(
        "--checkpoint-every", type=int, default=500, help="steps between checkpoints (%(default)s)"
    )
    sub.add_argument(
        "--devices",
        help="GPUs that share each mini-batch: all, a number of them, or names such as "
        "gpu:0,gpu:1 (default: one)",
    )
    _add_validation(sub)


def _add_validation(sub) -> None:
    sub.add_argument(
        "--validate",
        metavar="SPLIT",
        help="split to compute the mAP of while training; the best model is kept as RUN/best.keras",
    )
    sub.add_argument("--validate-data", metavar="DATA", help="its data set (default: --data)")
    sub.add_argument(
        "--validate-proposals", metavar="FILE", help="its proposals, as --proposals takes them"
    )
    sub.add_argument(
        "--validate-every",
        type=int,
        default=1000,
        help="steps between validations, and between pictures for TensorBoard (%(default)s)",
    )


def _integers(text: str) -> tuple[int, ...]:
    """The type of options that take numbers separated by commas."""
    try:
        return tuple(int(value) for value in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers separated by commas, not {text!r}"
        ) from error
