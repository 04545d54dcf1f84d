"""`keras-frcnn beam`: proposals, detections and their evaluation for any number of images."""

import argparse
import logging
import os
import sys
from pathlib import Path

from keras_frcnn.cli.training_options import add_settings, given

WORKS = ("proposals", "detect", "evaluate")
SHOWN = 5  # failures that are printed


def add_beam(sub: argparse.ArgumentParser) -> None:
    """Add what the command is asked for; the rest is read when Beam is there to read its own."""
    sub.add_argument(
        "work",
        choices=WORKS,
        help="proposals of images; detections in them; AP of these. keras-frcnn beam WORK --help "
        "lists the options",
    )
    sub.add_argument("args", nargs=argparse.REMAINDER, help="options of the work, and Beam's own")


def beam(args) -> int:
    """Do one of the works; 1 where images failed."""
    # Before Beam and gRPC are imported, which say what is not worth knowing.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.getLogger().setLevel(logging.CRITICAL)
    from keras_frcnn.extras import of_extra

    of_extra("apache_beam", "beam")
    from keras_frcnn.bulk.pipelines import is_direct, options_of, options_parser

    asked, rest = _parser(args.work).parse_known_args(args.args)
    of_beam = options_parser()
    of_beam.prog = f"keras-frcnn beam {args.work}"
    of_beam.parse_args(rest)
    if not is_direct(options_of(rest)):
        logging.getLogger().setLevel(logging.INFO)  # what a cluster says of the job's progress
    return {"proposals": _proposals, "detect": _detect, "evaluate": _evaluate}[args.work](
        asked, rest
    )


def _proposals(args, options: list[str]) -> int:
    from keras_frcnn.bulk.jobs import bulk_proposals
    from keras_frcnn.proposals.find import search_of
    from keras_frcnn.settings import Settings

    method = search_of(Settings(**given(args)))
    return _report(
        bulk_proposals(args.input, args.output, method, args.images_per_shard, options), args.output
    )


def _detect(args, options: list[str]) -> int:
    import keras_frcnn.cli.keras_setup  # noqa: F401
    from keras_frcnn.bulk.jobs import bulk_detections

    found = bulk_detections(
        args.model, args.output, args.input, args.proposals, args.images_per_shard, options
    )
    return _report(found, args.output)


def _evaluate(args, options: list[str]) -> int:
    from keras_frcnn.bulk.jobs import read_bulk_detections, read_failures
    from keras_frcnn.cli.common import asked_classes, asked_fractions, load_dataset, metric_of
    from keras_frcnn.cli.evaluate_command import judge

    fractions = asked_fractions(args)
    dataset = load_dataset(args.data, args.split, args.data_dir, asked_classes(args), fractions)
    detections = read_bulk_detections(args.input, dataset, options)
    if failures := read_failures(args.input, options):
        print(
            f"{args.input}: {len(failures)} images failed and count as without detections",
            file=sys.stderr,
        )
    print(judge(detections, dataset, args.metric or metric_of(args.data), Path(args.output)))
    return 0


def _report(result, output: str) -> int:
    """Say what was done; the exit status."""
    counted = result.counters
    print(
        f"{output}: {result.shards} shards, {counted.get('shards', 0)} of them made now, with "
        f"{counted.get('images', 0)} images"
    )
    for failure in result.failures[:SHOWN]:
        print(failure["error"], file=sys.stderr)
    if result.failures:
        print(
            f"{len(result.failures)} images failed, listed in {output}/failed-*.jsonl",
            file=sys.stderr,
        )
    return int(bool(result.failures))


def _parser(work: str) -> argparse.ArgumentParser:
    """The options that are ours; the abbreviations of some would be Beam's."""
    parser = argparse.ArgumentParser(
        prog=f"keras-frcnn beam {work}",
        allow_abbrev=False,
        epilog="All other options are Beam's: --runner, --direct_num_workers and so on "
        "(docs/bulk.md).",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write to")
    if work == "evaluate":
        parser.add_argument("--input", required=True, metavar="DIR", help="output of beam detect")
        _add_evaluation(parser)
        return parser
    parser.add_argument(
        "--input",
        required=work == "proposals",
        metavar="PATTERN",
        help="images: a pattern such as 'gs://bucket/*.jpg' (** looks into all folders), or a "
        ".txt file with a path a line",
    )
    parser.add_argument(
        "--images-per-shard",
        type=int,
        default=50,
        metavar="N",
        help="images of a file of results; so many are done again where a process dies "
        "(%(default)s)",
    )
    if work == "proposals":
        add_settings(parser, ("search", "search_side"))
        return parser
    parser.add_argument(
        "--model",
        required=True,
        metavar="DIR",
        help="folder of an export's version, such as models/photos/1, or a run",
    )
    parser.add_argument(
        "--proposals",
        metavar="DIR",
        help="for a Fast R-CNN, in place of --input: the output of beam proposals",
    )
    return parser


def _add_evaluation(parser) -> None:
    parser.add_argument("--data", required=True, help="data set, as keras-frcnn evaluate takes it")
    parser.add_argument("--split", help="split, such as test")
    parser.add_argument(
        "--classes", help="class names, separated by commas (default: those of the annotations)"
    )
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its data")
    parser.add_argument("--metric", choices=("area", "11point"), help="AP by the area or 11 points")
    add_settings(parser, ("fractions",))
