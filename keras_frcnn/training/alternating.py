"""The four steps in which the paper trains Faster R-CNN (Ren et al. 2015, section 3.2).

1  a region proposal network, from pretrained weights;
2  a Fast R-CNN on its proposals, from the same pretrained weights: they share no layer yet;
3  new region proposals on the trunk of 2, which stays as it is;
4  fc6 to the heads of 2 on the proposals of 3: now the trunk is shared.

RUN/1-rpn, 2-fast-rcnn, 3-rpn, 4-fast-rcnn   the steps, each a run as any other
RUN/proposals.sqlite                         the proposals of 1 and of 3
RUN/config.json, checkpoints, ...            the detector made of 3 and 4, as of joint training

A step that is finished is never trained again; one that was interrupted goes on.
"""

import dataclasses
import os
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.region_network import network_proposals
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.monitoring.tensorboard import EventFile
from keras_frcnn.monitoring.validation import Validation, ValidationSet, is_validated
from keras_frcnn.runs.checkpoints import (
    checkpoint_path,
    checkpoint_paths,
    checkpoint_step,
    is_whole,
    remove_leftovers,
)
from keras_frcnn.runs.directory import (
    PROPOSALS,
    detector_of,
    load_checkpoint,
    load_settings,
    options_of,
    proposer_of,
    save_settings,
)
from keras_frcnn.runs.interrupts import Interrupts
from keras_frcnn.runs.lock import only_training
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build, in_precision
from keras_frcnn.training.checks import check_data, check_proposals, check_run, completed
from keras_frcnn.training.devices import distribution
from keras_frcnn.training.fit import train

STEPS = ("1-rpn", "2-fast-rcnn", "3-rpn", "4-fast-rcnn")


def train_alternating(
    run: str | os.PathLike,
    images: ImageSet,
    settings: Settings,
    validation: ValidationSet | None = None,
    *,
    resume: bool = False,
    changed_data: bool = False,
    checkpoint_every: int = 500,
    validate_every: int = 1000,
    devices: str | None = None,
) -> keras.Model:
    """Train in four steps; `settings.alternating` is what asks for them.

    Args:
        run: the run directory.
        images: a data set, without proposals.
        settings: `steps`, `decay_at` and `images_per_batch` are those of steps 2 and 4,
            `rpn_steps`, `rpn_decay_at` and `rpn_images_per_batch` those of 1 and 3.
        validation: another data set, to compute the mAP of the finished detector on.
        resume, changed_data, checkpoint_every, validate_every, devices: as for `fit.train`, for
            whichever step is due.

    Returns:
        The finished detector, a model as `FasterRCNN` builds it.

    Raises:
        InputError, Interrupted: as `fit.train`.
    """
    run = Path(run)
    settings = completed(settings, images.dataset)
    check_steps(run, settings, resume)
    for step in STEPS:  # devices too are refused now, not after days
        distribution(devices, step_settings(run, step, settings).images_per_batch)
    check_proposals(settings, images, validation)
    if validation:
        check_class_names(settings.class_names, validation.images.dataset)
    make_folder(run)
    with only_training(run):
        remove_leftovers(run)
        check_data(run, images, resume and not changed_data)
        save_settings(run, settings)
        if settings.deterministic:  # the proposals too, in a process that resumes with them
            tf.config.experimental.enable_op_determinism()
        if not any(map(is_whole, checkpoint_paths(run))):
            options = {
                "changed_data": changed_data,
                "checkpoint_every": checkpoint_every,
                "validate_every": validate_every,
                "devices": devices,
            }
            for step in STEPS:
                _train_step(run, step, images, settings, options)
            _assemble(run, settings)
        model = load_checkpoint(run, settings)
        if validation and not is_validated(run, settings.steps):
            _validate(run, model, settings, validation)
    return model


def check_steps(run: Path, settings: Settings, resume: bool) -> None:
    """Refuse to overwrite a run in four steps, or to resume one with other settings.

    Raises:
        InputError: as `train_alternating`; also if a step cannot have its settings.
    """
    for step in STEPS:
        try:
            step_settings(run, step, settings)
        except InputError as error:
            raise InputError(f"{error} (in step {step})") from error
    if not resume:
        for folder in (run, *(run / step for step in STEPS)):
            check_run(folder, settings, resume=False)
        return
    check_run(run, settings, resume=True)
    if (steps := load_settings(run).steps) != settings.steps:
        raise InputError(f"steps: the run's are {steps}; the steps of a training in four stay")


def step_settings(run: Path, step: str, settings: Settings) -> Settings:
    """The settings of one of `STEPS`."""
    second = str(run / STEPS[1])
    changes = {
        "1-rpn": {},
        "2-fast-rcnn": {},
        "3-rpn": {"weights": None, "initial": second, "finetune_from": "rpn"},
        "4-fast-rcnn": {"weights": None, "initial": second, "finetune_from": "fc6"},
    }[step]
    if step.endswith("rpn"):
        changes |= {
            "detector": "rpn",
            "steps": settings.rpn_steps,
            "decay_at": settings.rpn_decay_at,
            "images_per_batch": settings.rpn_images_per_batch,
        }
    else:
        changes["detector"] = "fast_rcnn"
    return dataclasses.replace(settings, **{"alternating": False, **changes})


def _train_step(run: Path, step: str, images: ImageSet, settings: Settings, options: dict) -> None:
    """Train one of `STEPS` to its end, unless it is there."""
    folder = run / step
    own = step_settings(run, step, settings)
    done = checkpoint_paths(folder)
    whole = next(filter(is_whole, done), None)
    if whole and checkpoint_step(whole) >= own.steps:
        return
    print(f"step {step}")
    if own.detector == "fast_rcnn":
        before = run / STEPS[STEPS.index(step) - 1]
        images = ImageSet(images.dataset, _proposals(before, images, run / PROPOSALS))
    if done:  # by the path that it was begun with, which may be another by now
        own = dataclasses.replace(own, initial=load_settings(folder).initial)
    options = options | {"changed_data": options["changed_data"] and bool(done)}
    train(folder, images, own, resume=bool(done), **options)


def _proposals(folder: Path, images: ImageSet, cache: Path):
    """The proposals of a trained step: suppressed among all boxes, as the authors' code has it."""
    settings = load_settings(folder)
    options = options_of(settings)
    options = dataclasses.replace(options, pre_nms_test=None, test=options.train)
    proposer = proposer_of(load_checkpoint(folder, settings), settings, options)
    return network_proposals(proposer, images.dataset, cache)


def _assemble(run: Path, settings: Settings) -> None:
    """Write the detector: region proposals of step 3, all else of step 4."""
    rpn, fast = (load_checkpoint(run / s, load_settings(run / s)) for s in STEPS[2:])
    targets = fast.target_mean, fast.target_std
    rescale = any(layer.name == "rescale" for layer in fast.layers)
    unread = dataclasses.replace(settings, weights=None, finetune_from=None)
    with in_precision(settings.precision):
        model = build(unread, targets, None, rescale)
    # The trunk is in both, with the same weights.
    trained = {layer.name: layer for layer in [*rpn.layers, *fast.layers]}
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(trained[layer.name].get_weights())
    path = checkpoint_path(run, settings.steps)
    make_folder(path.parent)
    with replacing(path) as partial:
        model.save(partial)


def _validate(run: Path, model: keras.Model, settings: Settings, validation: ValidationSet) -> None:
    interrupts = Interrupts()
    with EventFile(run / "tensorboard", settings.steps) as events, interrupts:
        Validation(
            run,
            detector_of(model, settings),
            validation,
            settings.steps,
            settings.steps,
            events,
            interrupts,
        ).validate(settings.steps)
    interrupts.check("the validation was not finished; the same command with --resume makes it")
