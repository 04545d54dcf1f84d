"""`keras-frcnn check`: what a data set holds and what is at fault in it."""

import argparse
import sys
from pathlib import Path

from keras_frcnn.cli.training_options import add_settings, given
from keras_frcnn.errors import InputError
from keras_frcnn.files import replacing

IMAGES = 20


def add_check(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument(
        "--out",
        metavar="FILE",
        default="check.png",
        help="contact sheet of ground truth to write (%(default)s)",
    )
    sub.add_argument(
        "--images",
        type=int,
        metavar="N",
        default=IMAGES,
        help="images in which to look how many objects selective search reaches, 0 for none "
        "(%(default)s)",
    )
    add_settings(sub, ("min_side", "max_side"))


def check(args) -> int:
    """Print the page, draw the sheet; 1 where a training would be refused."""
    from keras_frcnn.data.hash_splits import FRACTIONS
    from keras_frcnn.inspection.data_check import check_data
    from keras_frcnn.inspection.data_page import draw_check, format_check
    from keras_frcnn.proposals.find import find_proposals

    if args.images < 0:
        raise InputError(f"--images is {args.images}; it must be at least 0")
    asked = given(args, ("min_side", "max_side", "fractions"))
    found = check_data(
        args.data,
        args.data_dir,
        asked.get("fractions", FRACTIONS),
        max(asked.get("min_side", (600,))),
        asked.get("max_side", 1000),
        find_proposals if args.images else None,
        args.images,
    )
    sheet = draw_check(found)
    if sheet is not None:
        with replacing(Path(args.out)) as partial:
            sheet.save(partial, "PNG")
    print(format_check(found))
    if sheet is not None:
        print(f"ground truth of some images: {args.out}", file=sys.stderr)
    return int(found.is_refused)
