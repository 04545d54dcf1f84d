"""Whether a training may begin, or go on, in a run directory: its settings and its data."""

import dataclasses
import sys
from pathlib import Path

from keras_frcnn.batches.anchor_check import check_anchors
from keras_frcnn.batches.masks import check_has_masks
from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.errors import InputError
from keras_frcnn.monitoring.validation import ValidationSet
from keras_frcnn.runs.checkpoints import checkpoint_paths
from keras_frcnn.runs.directory import load_settings, options_of
from keras_frcnn.runs.fingerprint import (
    Fingerprint,
    changes,
    fingerprint,
    load_fingerprint,
    save_fingerprint,
)
from keras_frcnn.settings import AUTO, Settings
from keras_frcnn.training.devices import default_precision


def completed(settings: Settings, dataset: Dataset) -> Settings:
    """The settings with what only the machine and the data set can tell.

    Raises:
        InputError: the settings name other classes than the data set has, or in another order.
    """
    found = {}
    if settings.precision == AUTO:
        found["precision"] = default_precision()
    if not settings.class_names:
        found["class_names"] = dataset.class_names
    if not settings.data:
        found["data"] = dataset.name
    settings = dataclasses.replace(settings, **found)
    check_class_names(settings.class_names, dataset)
    return settings


def check_detector(settings: Settings, images: ImageSet, validation: ValidationSet | None) -> None:
    """Refuse what the detector cannot be trained with.

    Raises:
        InputError: as `train` does.
    """
    if settings.alternating:
        raise InputError("alternating: four trainings, which training.alternating makes in one run")
    check_proposals(settings, images, validation)
    if settings.has_masks:
        check_has_masks(images.dataset.images, images.dataset.name)
    if settings.detector == "rpn" and validation:
        raise InputError(
            "validation: region proposals alone have no mAP; keras-frcnn proposals --from tells "
            "their recall"
        )


def check_proposals(settings: Settings, images: ImageSet, validation: ValidationSet | None) -> None:
    """Refuse images without proposals where the detector needs them, and with where it does not.

    Raises:
        InputError: as `train` does.
    """
    are_needed = not settings.makes_proposals
    images.check_proposals(are_needed, settings.detector)
    if validation:
        validation.images.check_proposals(are_needed, settings.detector, "validation: proposals")


def check_training_anchors(settings: Settings, dataset: Dataset) -> None:
    """Refuse anchors that would stay untrained, and warn of those that hardly have objects."""
    options = options_of(settings)
    if options.strides:  # the layers are the same at every level: no anchor stays untrained
        return
    for line in check_anchors(
        dataset,
        options.scales,
        options.ratios,
        options.stride,
        settings.min_side,
        settings.max_side,
    ):
        print(f"warning: {line}", file=sys.stderr)


def check_run(run: Path, settings: Settings, resume: bool) -> None:
    """Refuse to overwrite a run, or to resume one with other settings than its own.

    Raises:
        InputError: as `train` does.
    """
    if not resume:
        if checkpoint_paths(run):
            raise InputError(
                f"{run}: already holds a run; give --resume to go on, or another --out"
            )
        return
    old, new = load_settings(run).to_dict(), settings.to_dict()
    free = set(Settings.FREE_ON_RESUME)
    if load_fingerprint(run) is None:  # of version 0.1: the data set is known by its name alone
        free -= {"data", "split"}
    changed = [k for k in old if old[k] != new[k] and k not in free]
    if changed:
        raise InputError(
            "--resume goes on with the settings of the run; these differ: "
            + ", ".join(f"{k} (run: {old[k]}, now: {new[k]})" for k in changed)
        )


def check_data(run: Path, images: ImageSet, must_be_same: bool, writes: bool = True) -> Fingerprint:
    """Note what the run is trained on, where this `writes`; refuse other data than it began with.

    Returns:
        what was noted.
    """
    now = fingerprint(images)
    before = load_fingerprint(run) if must_be_same else None
    if before is not None and (found := changes(before, now)):
        more = f" (and {len(found) - 1} more changes)" if len(found) > 1 else ""
        raise InputError(
            f"{run}: {images.dataset.name} is not what the run was begun with: {found[0]}{more}; "
            "put it back, or go on deliberately with --changed-data"
        )
    if writes:
        save_fingerprint(run, now)
    return now
