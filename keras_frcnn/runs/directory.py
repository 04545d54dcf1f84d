"""Run directories: what a training leaves behind and what the other commands read.

RUN/config.json       the settings
RUN/checkpoints       model and optimizer, the newest few (`keras_frcnn.runs.checkpoints`)
RUN/log.csv           losses and rate, a row for every 100 mini-batches
RUN/tensorboard       the same and pictures, for TensorBoard
RUN/validation.csv    mAP on the validation split, where there is one
RUN/best.keras        the model of the highest of them; best.json says at which step
RUN/metrics.json      the last evaluation
RUN/proposals.sqlite  proposals of its network, where some were made of a data set
"""

import dataclasses
import itertools
import json
import os
import sys
from pathlib import Path

import keras

from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.masking import MaskDetector, ProposingMaskDetector
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.detection.test_time import TestOptions, TestTimeDetector, with_options
from keras_frcnn.errors import InputError
from keras_frcnn.files import check_local, write_json
from keras_frcnn.models.building import model_name
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.rpn_levels import options_for
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.runs.checkpoints import DamagedCheckpoint, checkpoint_paths, read_checkpoint
from keras_frcnn.settings import Settings

CONFIG = "config.json"
PROPOSALS = "proposals.sqlite"


def save_settings(run: Path, settings: Settings) -> None:
    """Write `config.json`."""
    write_json(run / CONFIG, settings.to_dict())


def load_settings(run: Path) -> Settings:
    """Read `config.json`.

    Raises:
        InputError: `run` is no run directory, or its settings are not of this version.
    """
    check_local(run)
    path = run / CONFIG
    if not path.is_file():
        raise InputError(f"{run}: not a run directory (it has no config.json)")
    try:
        return Settings(**json.loads(path.read_text("utf-8")))
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as training settings: {error}") from error


def load_checkpoint(run: Path, settings: Settings, compile: bool = False) -> keras.Model:
    """Load the newest checkpoint; with `compile` the optimizer's state as well.

    A damaged one is passed over with a warning, for the one before.

    Raises:
        InputError: there is none, all are damaged, or it is not the model of `settings`.
    """
    paths = checkpoint_paths(run)
    if not paths:
        raise InputError(f"{run}: no checkpoint yet; train first (keras-frcnn train --out {run})")
    for path, older in itertools.zip_longest(paths, paths[1:]):
        try:
            return _checked(path, read_checkpoint(path, compile), settings)
        except DamagedCheckpoint as error:
            if older is None:
                raise
            print(f"{error}; taking {older.name} instead", file=sys.stderr)


def _checked(path: Path, model: keras.Model, settings: Settings) -> keras.Model:
    """The model, if it is that of `settings`."""
    is_model = model.name == model_name(settings.trunk, settings.detector)
    if not is_model or _count_classes(model, settings.detector) != len(settings.class_names):
        raise InputError(
            f"{path}: holds another model ({model.name}) than config.json describes "
            f"({settings.detector} of {settings.trunk} with {len(settings.class_names)} classes)"
        )
    return model


def _count_classes(model: keras.Model, detector: str) -> int:
    if detector == "rpn":  # it tells objects from background only
        return len(model.class_names)
    return model.get_layer("bbox_pred").output.shape[2]


def load_detector(
    run: str | os.PathLike,
    best: bool = False,
    max_detections: int | None = None,
    proposals_test: int | None = None,
    options: TestOptions | None = None,
) -> tuple[Detector | TestTimeDetector, Settings]:
    """The detector a run has trained so far, and the settings of the run.

    Args:
        best: take the model with the highest mAP in validation rather than the newest.
        max_detections, proposals_test: of an image, in place of the run's settings.
        options: of the test; by default the paper's.

    Raises:
        InputError: there is none: the run is not one, not begun, damaged, or of region proposals
            alone.
    """
    run = Path(run)
    settings = load_settings(run)
    if proposals_test is not None and not settings.makes_proposals:
        raise InputError(
            f"proposals_test: {run} is a {settings.detector}, whose proposals are all taken"
        )
    asked = {"max_detections": max_detections, "proposals_test": proposals_test}
    settings = dataclasses.replace(
        settings, **{name: value for name, value in asked.items() if value is not None}
    )
    if settings.detector == "rpn":
        raise InputError(
            f"{run}: is a region proposal network alone, which detects nothing; "
            "keras-frcnn proposals --from takes its proposals"
        )
    model = load_best(run, settings) if best else load_checkpoint(run, settings)
    return with_options(detector_of(model, settings), options or TestOptions()), settings


def load_proposer(
    run: str | os.PathLike, best: bool = False, proposals_test: int | None = None
) -> tuple[Proposer, Settings]:
    """The region proposals that a run has trained so far, and the settings of the run.

    Args:
        best, proposals_test: as for `load_detector`.

    Raises:
        InputError: there are none: the run is not one, not begun, damaged, or a Fast R-CNN.
    """
    run = Path(run)
    settings = load_settings(run)
    if not settings.makes_proposals:
        raise InputError(
            f"{run}: is a {settings.detector}, which makes no proposals; name a run of rpn, "
            "faster_rcnn or mask_rcnn"
        )
    if proposals_test is not None:
        settings = dataclasses.replace(settings, proposals_test=proposals_test)
    model = load_best(run, settings) if best else load_checkpoint(run, settings)
    return proposer_of(model, settings), settings


def load_best(run: Path, settings: Settings) -> keras.Model:
    """Load `best.keras`.

    Raises:
        InputError: there is none, it is damaged, or it is not the model of `settings`.
    """
    path = run / "best.keras"
    if not path.is_file():
        raise InputError(f"{run}: has no best model; train with --validate to have one chosen")
    return _checked(path, read_checkpoint(path), settings)


def detector_of(model: keras.Model, settings: Settings) -> Detector:
    """A detector around a model of `settings`, whose weights it shares."""
    about = {
        "pixel_means": TRUNKS[settings.trunk].pixel_means,
        "min_side": settings.min_side,
        "max_side": settings.max_side,
        "max_detections": settings.max_detections,
        "class_names": settings.class_names,
    }
    if not settings.makes_proposals:
        return (MaskDetector if settings.has_masks else Detector)(model, **about)
    kind = ProposingMaskDetector if settings.has_masks else ProposingDetector
    return kind(model, **about, options=options_of(settings))


def proposer_of(
    model: keras.Model, settings: Settings, options: ProposalOptions | None = None
) -> Proposer:
    """What proposes by a model of `settings` with a region proposal network, as in detection.

    `options` stand in place of those that the settings ask for.
    """
    return Proposer(
        model,
        TRUNKS[settings.trunk].pixel_means,
        settings.min_side,
        settings.max_side,
        options or options_of(settings),
    )


def options_of(settings: Settings) -> ProposalOptions:
    """The anchors and the making of proposals that settings ask for."""
    options = ProposalOptions(
        settings.anchor_scales,
        settings.anchor_ratios,
        settings.proposal_nms_iou,
        settings.proposal_min_size,
        settings.pre_nms_train,
        settings.proposals_train,
        settings.pre_nms_test,
        settings.proposals_test,
    )
    return options_for(options, TRUNKS[settings.trunk])
