"""What commands with a run begin with: its detector, and the proposals that it needs."""

import dataclasses

import keras_frcnn.cli.keras_setup  # noqa: F401
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, given
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.recipes import Recipe
from keras_frcnn.runs import directory as runs
from keras_frcnn.settings import Settings, option


def load_run(args) -> tuple[Detector, Settings]:
    """The detector of a run, as the options that all commands with a run have it."""
    keys = ("max_detections", "proposals_test")
    return runs.load_detector(args.run_dir, args.best, **given(args, keys))


def refuse_proposals(args, settings: Settings) -> None:
    """Say that options about proposals have no meaning where the detector makes its own."""
    asked = [option(key) for key in given(args, PROPOSAL_KEYS)]
    if getattr(args, "processes", None) is not None:  # `detect` has no such option
        asked.append("--processes")
    if asked and settings.detector != "fast_rcnn":
        raise InputError(
            f"{asked[0]}: {settings.detector} makes its own proposals; leave it out, or train "
            "fast_rcnn"
        )


def image_set(dataset: Dataset, settings: Settings, args) -> ImageSet:
    """A data set with the proposals that the detector needs, if it needs some."""
    if settings.detector == "fast_rcnn":
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


def metric_of(data: str, recipe: Recipe | None = None) -> str:
    """The recipe's metric, else that of the challenge of the data set's year."""
    if recipe:
        return recipe.metric
    return "11point" if data.startswith("voc/2007") else "area"
