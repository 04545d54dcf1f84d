"""`keras-frcnn convert`: a data set in another form."""

import argparse
import sys


def add_convert(sub: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    sub.add_argument("--to", required=True, metavar="DIR", help="the folder to make")
    sub.add_argument("--format", required=True, choices=("voc", "coco", "yolo"), help="the form")


def convert(args) -> None:
    """Write the data set and say what was written."""
    from keras_frcnn.data.convert import convert_data

    written = convert_data(args.data, args.to, args.format, args.data_dir)
    for line in written.warnings:
        print(f"warning: {line}", file=sys.stderr)
    if written.difficult and args.format == "yolo":
        print(
            f"warning: {written.difficult} difficult objects are ordinary ones in YOLO's form",
            file=sys.stderr,
        )
    print(f"{args.to}: {written.images} images with {written.objects} objects")
