"""What is tested: a run on a split, or anybody's detections in a file."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from keras_frcnn.cli.common import asked_fractions, load_dataset, metric_of
from keras_frcnn.cli.test_time_options import asked_options, option_of
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.results import read_detections
from keras_frcnn.evaluation.stopwatch import Stopwatch
from keras_frcnn.settings import option


@dataclass(frozen=True, eq=False)
class Tested:
    """Detections in the images of a data set."""

    images: ImageSet  # with the proposals that they came from, where these were asked for
    detections: list[Detections]
    metric: str
    run: Path | None = None  # None for detections from a file
    seconds: dict[str, float] = field(default_factory=dict)  # of an image by stage, the medians


def tested(args, with_proposals: bool = False) -> Tested:
    """Run the detector of `args.run_dir`, or read `args.detections`.

    Args:
        args: of a command with the options of `parser._add_tested`.
        with_proposals: whether proposals of detectors that make their own are kept.

    Raises:
        InputError: not one of both is named, or options of a run are given without one.
    """
    if (args.run_dir is None) == (args.detections is None):
        raise InputError("name either a run or --detections FILE")
    if args.run_dir is None:
        return _from_file(args)
    return _of_run(args, with_proposals)


def _from_file(args) -> Tested:
    keys = given(args, (*PROPOSAL_KEYS, "max_detections", "proposals_test"))
    asked = [option(key) for key in keys]
    asked += [option_of(key) for key in asked_options(args)]
    asked += ["--best"] * args.best + ["--processes"] * (args.processes is not None)
    if asked:
        raise InputError(f"{asked[0]}: belongs to a run; leave it out beside --detections")
    if not args.data:
        raise InputError("--data: name the images and objects that --detections is of")
    dataset = load_dataset(args.data, args.split, args.data_dir, None, asked_fractions(args))
    metric = args.metric or metric_of(args.data)
    return Tested(ImageSet(dataset), read_detections(args.detections, dataset), metric)


def _of_run(args, with_proposals: bool) -> Tested:
    # These import TensorFlow, which detections from a file do without.
    from keras_frcnn.cli.run_inputs import detector_and_images
    from keras_frcnn.evaluation.evaluate import check_fit, describe_limit, examine_all

    detector, images, metric = detector_and_images(args)
    check_fit(detector, images)
    detections, proposals, watch = [], [], Stopwatch()
    for found, boxes in examine_all(detector, images, watch=watch):
        detections.append(found)
        if with_proposals:
            proposals.append(boxes)
    if said := describe_limit(detections, detector.max_detections):
        print(said, file=sys.stderr)
    images = ImageSet(images.dataset, proposals) if with_proposals else images
    return Tested(images, detections, metric, Path(args.run_dir), watch.medians())
