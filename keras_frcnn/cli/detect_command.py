"""`keras-frcnn detect` and `client`: find objects in images, here or by asking a server."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from keras_frcnn.cli.found_files import draw_and_list
from keras_frcnn.cli.image_files import image_files
from keras_frcnn.cli.run_inputs import load_run, refuse_proposals
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.stopwatch import Stopwatch
from keras_frcnn.proposals.find import search_of
from keras_frcnn.settings import Settings, option


def detect(args) -> int:
    """Draw and list the detections of image files; 1 where one could not be read."""
    files = image_files(args.images)
    detector, settings = load_run(args)
    if settings.proposals and not given(args, PROPOSAL_KEYS):
        print(
            f"{args.run_dir}: was trained on the proposals of {settings.proposals}; here they are "
            f"found by selective search ({settings.search})",
            file=sys.stderr,
        )
    refuse_proposals(args, settings)
    settings = dataclasses.replace(settings, **given(args, PROPOSAL_KEYS))
    search = search_of(settings) if detector.needs_proposals else None

    def find(name: str, image: np.ndarray, watch: Stopwatch) -> Detections:
        proposals = ()
        if search:
            with watch.stage("proposals"):
                proposals = (search(image),)
        with watch.stage("detection"):
            found = detector.detect(image, *proposals)
        if len(found) == settings.max_detections:
            print(
                f"{name}: has {len(found)} detections, the most there may be; --max-detections "
                "allows more",
                file=sys.stderr,
            )
        return found

    return _listed(args, files, find, settings.class_names)


def client(args) -> int:
    """As `detect`, by asking a server."""
    from keras_frcnn.export.client import Client, class_names, makes_proposals, training_settings

    files = image_files(args.images)
    server = Client(args.url, args.timeout, args.retries)
    names = args.classes and class_names(args.classes)
    asked = given(args)
    if args.classes and args.classes.endswith(".json"):  # which also tells how to search, or not to
        trained = training_settings(args.classes)
        needs_proposals = not makes_proposals(args.classes)
    else:
        trained, needs_proposals = {}, server.needs_proposals()
    if asked and not needs_proposals:
        raise InputError(
            f"{option(next(iter(asked)))}: the model of {server.url} makes its own proposals; "
            "leave it out"
        )
    asked = {k: trained[k] for k in ("search", "search_side") if k in trained} | asked
    search = search_of(Settings(**asked)) if needs_proposals else None

    def find(name: str, image: np.ndarray, watch: Stopwatch) -> Detections:
        proposals = None
        if search:
            with watch.stage("proposals"):
                proposals = search(image)
        with watch.stage("the server"):
            found = server.detect(name, proposals)
        if names and found.classes.max(initial=0) > len(names):
            raise InputError(
                f"--classes: {len(names)} names, but the server found class {found.classes.max()}"
            )
        return found

    return _listed(args, files, find, names)


def _listed(args, files, find, class_names) -> int:
    """Draw and list; the exit status."""
    out, pixels, score = Path(args.out), args.max_pixels, args.min_score
    return int(draw_and_list(files, out, find, pixels, class_names, score) > 0)
