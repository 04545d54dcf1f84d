"""What commands with a run begin with: its detector, and the proposals that it needs."""

import dataclasses
import sys
from pathlib import Path

import keras_frcnn.cli.keras_setup  # noqa: F401
from keras_frcnn.cli.common import asked_fractions, load_dataset, metric_of
from keras_frcnn.cli.test_time_options import asked_options
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.test_time import TestOptions
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.recipes import Recipe, recipe_of
from keras_frcnn.runs import directory as runs
from keras_frcnn.runs.fingerprint import fingerprint, load_fingerprint
from keras_frcnn.settings import Settings, option


def load_run(args) -> tuple[Detector, Settings]:
    """The detector of a run, as the options that all commands with a run have it."""
    keys = ("max_detections", "proposals_test")
    options = TestOptions(**asked_options(args))
    return runs.load_detector(args.run_dir, args.best, **given(args, keys), options=options)


def refuse_proposals(args, settings: Settings) -> None:
    """Say that options about proposals have no meaning where the detector makes its own."""
    asked = [option(key) for key in given(args, PROPOSAL_KEYS)]
    if getattr(args, "processes", None) is not None:  # `detect` has no such option
        asked.append("--processes")
    if asked and settings.makes_proposals:
        raise InputError(
            f"{asked[0]}: {settings.detector} makes its own proposals; leave it out, or train "
            "fast_rcnn"
        )


def image_set(dataset: Dataset, settings: Settings, args) -> ImageSet:
    """A data set with the proposals that the detector needs, if it needs some."""
    if not settings.makes_proposals:
        return proposals_of(dataset, settings, args.processes)
    refuse_proposals(args, settings)
    return ImageSet(dataset)


def with_proposals(args, settings: Settings) -> Settings:
    """The run's settings, with proposals found as the user says now, if anything is said."""
    refuse_proposals(args, settings)
    asked = given(args, PROPOSAL_KEYS)
    if asked:  # to search means not to import
        asked.setdefault("proposals", None)
    return dataclasses.replace(settings, **asked)


def of_its_data(recipe: Recipe | None, settings: Settings) -> Recipe | None:
    """The recipe, if the training is on its own data set: then it knows metric and test data."""
    return recipe if recipe and settings.data == recipe.settings.data else None


def recipe_metric(data: str, recipe: Recipe | None = None) -> str:
    """The recipe's metric, else that of the challenge of the data set's year."""
    return recipe.metric if recipe else metric_of(data)


def detector_and_images(args) -> tuple[Detector, ImageSet, str]:
    """The detector of a run, what to test it on, and the metric.

    Images that the run was trained on are told.

    Raises:
        InputError: nothing says what to test on.
    """
    run = Path(args.run_dir)
    detector, settings = load_run(args)
    recipe = None if args.data else of_its_data(recipe_of(settings), settings)
    data, split = args.data, args.split
    if recipe:
        data, split = recipe.test_data, split or recipe.test_split
    elif not data:
        raise InputError(f"--data: name what to test on, {run} was not trained on a recipe's data")
    fractions = asked_fractions(args) or settings.fractions
    # In the order of the run's labels.
    names = settings.class_names
    dataset = load_dataset(data, split, args.data_dir, names, fractions, settings.has_masks)
    images = image_set(dataset, with_proposals(args, settings), args)
    _warn_of_training_images(run, images)
    return detector, images, args.metric or recipe_metric(data, recipe)


def _warn_of_training_images(run: Path, images: ImageSet) -> None:
    trained_on = load_fingerprint(run)
    shared = trained_on.count_shared(fingerprint(images)) if trained_on else 0
    if shared:
        print(
            f"{images.dataset.name}: {shared} of its {len(images.dataset.images)} images are "
            f"among those that {run} was trained on; the result says little about others",
            file=sys.stderr,
        )
