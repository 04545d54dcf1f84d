"""The options of commands that test a run otherwise than the paper does (docs/test_time.md)."""

import argparse

from keras_frcnn.errors import shown

# Names of the options' values: those of `detection.test_time.TestOptions`.
KEYS = ("flip", "scales", "nms_iou", "soft_nms", "box_regression")


def add_test_options(sub: argparse.ArgumentParser) -> None:
    """Add the options; what is not given has the value None."""
    group = sub.add_argument_group("choices at test time (docs/test_time.md)")
    group.add_argument(
        "--flip", action="store_const", const=True, help="also see the mirrored image"
    )
    group.add_argument(
        "--test-scales",
        dest="scales",
        type=_scales,
        metavar="SIDES",
        help="shorter sides to see the image at, such as 480,600,720; the detections are joined",
    )
    group.add_argument(
        "--nms-iou",
        type=float,
        metavar="IOU",
        help="a box is suppressed where its IoU with a better one of its class is above it (0.3)",
    )
    group.add_argument(
        "--soft-nms",
        type=float,
        metavar="SIGMA",
        help="lower the scores of boxes near better ones, not suppress them; 0.5 is usual",
    )
    group.add_argument(
        "--no-box-regression",
        dest="box_regression",
        action="store_const",
        const=False,
        help="take the proposals as boxes",
    )


def asked_options(args) -> dict:
    """Those that are given, by the names of `TestOptions`."""
    values = {key: getattr(args, key, None) for key in KEYS}
    return {key: value for key, value in values.items() if value is not None}


def option_of(key: str) -> str:
    """How the option is called on the command line."""
    names = {"scales": "--test-scales", "box_regression": "--no-box-regression"}
    return names.get(key, "--" + key.replace("_", "-"))


def _scales(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        message = f"must be whole numbers separated by commas, not {shown(text)}"
        raise argparse.ArgumentTypeError(message) from None
