"""`keras-frcnn report`: one HTML file of a run, or of two side by side."""

import argparse
from pathlib import Path

from keras_frcnn.cli.tested import tested
from keras_frcnn.errors import InputError
from keras_frcnn.file_names import printable
from keras_frcnn.report.content import report_content
from keras_frcnn.report.page import write_report


def report(args) -> None:
    """Test the run, and the second one if there is one, and write the page."""
    if args.images < 0:
        raise InputError(f"--images is {args.images}; it must be at least 0")
    if args.other and args.detections:
        raise InputError("--detections: is of one report; name two runs, or this alone")
    if args.detections and not args.out:
        raise InputError("--out: name the file to write")
    contents = [_content(args)]
    if args.other:
        contents.append(_content(argparse.Namespace(**{**vars(args), "run_dir": args.other})))
    name = f"compared with {Path(args.other).resolve().name}.html" if args.other else "report.html"
    out = Path(args.out) if args.out else Path(args.run_dir) / name
    write_report(out, *contents, images=args.images)
    print(f"written to {printable(str(out))}")


def _content(args):
    found = tested(args, with_proposals=True)
    name = printable(str(args.run_dir or args.detections))
    return report_content(
        name, found.images, found.detections, found.metric, found.run, found.seconds
    )
