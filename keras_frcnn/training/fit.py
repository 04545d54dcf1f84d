"""Training: builds or resumes the model of a run and fits it with Keras."""

import dataclasses
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.batches.pipeline import batch_records, training_dataset
from keras_frcnn.batches.target_statistics import cached_target_statistics
from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.monitoring.csv_log import Log
from keras_frcnn.monitoring.gradients import TrainingStatistics
from keras_frcnn.monitoring.progress import Progress
from keras_frcnn.monitoring.stage_pictures import StagePictures
from keras_frcnn.monitoring.tensorboard import EventFile, EventLog
from keras_frcnn.monitoring.validation import (
    Validation,
    ValidationSet,
    forget_best_after,
    is_validated,
)
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.runs.checkpoints import (
    checkpoint_path,
    checkpoint_paths,
    is_finite,
    read_sums,
    remove_leftovers,
    save_checkpoint,
)
from keras_frcnn.runs.directory import detector_of, load_checkpoint, load_settings, save_settings
from keras_frcnn.runs.fingerprint import (
    changes,
    fingerprint,
    load_fingerprint,
    save_fingerprint,
)
from keras_frcnn.runs.interrupts import Interrupts
from keras_frcnn.runs.lock import only_training
from keras_frcnn.settings import AUTO, Settings
from keras_frcnn.training.callbacks import DropoutMasks, StepDecay, StopOnNaN
from keras_frcnn.training.devices import default_precision, distribution
from keras_frcnn.training.fine_tuning import TrainedDetector
from keras_frcnn.training.optimizer import SGD
from keras_frcnn.training.steps import StepCallbacks

LOG_EVERY = 100  # mini-batches: the length of what the callbacks call an epoch


def train(
    run: str | os.PathLike,
    images: ImageSet,
    settings: Settings | None = None,
    validation: ValidationSet | None = None,
    *,
    resume: bool = False,
    changed_data: bool = False,
    checkpoint_every: int = 500,
    validate_every: int = 1000,
    devices: str | None = None,
) -> keras.Model:
    """Train in the run directory `run` until `settings.steps` mini-batches are done.

    Args:
        images: a data set with its proposals.
        settings: by default those of the paper; what they leave open is `completed`.
        validation: another data set, to watch the mAP of and to choose the best model by
            (`Validation`).
        resume: go on from the run's newest checkpoint, from the beginning where it has none yet;
            only `Settings.FREE_ON_RESUME` may differ from the run's settings.
        changed_data: go on although the images, objects or proposals are not those that the run
            was begun with. The statistics of the regression targets stay as they were.
        checkpoint_every: mini-batches between checkpoints.
        validate_every: mini-batches between validations, and between pictures for TensorBoard,
            which are of the training set where there is no `validation`.
        devices: that share each mini-batch, see `devices.distribution`.

    With `settings.deterministic` a run that was stopped or killed at any moment and resumed ends
    with the same bits as one that was not. It switches on TensorFlow's op determinism, for the
    whole process, whose own random ops then need a seed (`keras.utils.set_random_seed`). Python's,
    NumPy's and TensorFlow's random states are left as they are.

    Returns:
        The trained, compiled model; the same is in the run's newest checkpoint.

    Raises:
        InputError: the run exists and `resume` is not given, or was made with other settings or
            data, or another process trains in it; or training cannot go on: it has diverged, an
            image cannot be read any more, the disk cannot be written. The run's checkpoints stay
            as they were.
        Interrupted: SIGINT or SIGTERM came; the state after the last step is saved.
    """
    if changed_data and not resume:
        raise InputError("changed_data: belongs to resume, a new run takes any data")
    for name, every in (("checkpoint", checkpoint_every), ("validate", validate_every)):
        if every < 1:
            raise InputError(f"{name}_every: must be at least 1, not {every}")
    run = Path(run)
    settings = completed(settings or Settings(), images.dataset)
    check_run(run, settings, resume)
    if validation:
        check_class_names(settings.class_names, validation.images.dataset)
    make_folder(run)
    with only_training(run):
        remove_leftovers(run)
        _check_data(run, images, resume and not changed_data)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        with distribution(devices, settings.images_per_batch).scope():
            if checkpoint_paths(run):
                model = load_checkpoint(run, settings, compile=True)
            else:
                with _seeded(settings.seed):
                    model = build_and_compile(images, settings)
        done = _steps_done(model)
        if done > settings.steps:
            raise InputError(
                f"{run} has done {done} steps already: to go on, steps must be more than these, "
                f"not {settings.steps}"
            )
        save_settings(run, settings)
        forget_best_after(run, done)
        _fit(run, model, images, settings, validation, checkpoint_every, validate_every)
    return model


def _fit(
    run: Path,
    model: keras.Model,
    images: ImageSet,
    settings: Settings,
    validation: ValidationSet | None,
    checkpoint_every: int,
    validate_every: int,
) -> None:
    """Take the steps that the model has not done yet, and make the validation that is missing.

    Arguments and errors are those of `train`.
    """
    start = _steps_done(model)
    log = Log(run / "log.csv")
    log.forget_after(start)
    is_trained = start >= settings.steps
    if is_trained and (validation is None or is_validated(run, start)):
        return

    def records(step):  # of mini-batch number `step`, counted from 0
        return batch_records(images.dataset, step, settings)

    nan_guard = StopOnNaN(lambda step: [record.filename for record in records(step)])
    interrupts = Interrupts()
    done = start

    def after_step(step):
        nonlocal done
        done = step
        is_validation_due = validations is not None and validations.is_due(step)
        is_stopped = interrupts.received is not None
        is_last = step == settings.steps
        if is_stopped or is_validation_due or is_last or step % checkpoint_every == 0:
            if not is_finite(model):
                raise nan_guard.error("weights or momentum are not finite")
            save_checkpoint(run, model, settings.keep_checkpoints)
        if is_validation_due:
            validations.validate(step)
        model.stop_training = interrupts.received is not None

    with EventFile(run / "tensorboard", start) as events:
        detector = detector_of(model, settings)
        validations = validation and Validation(
            run, detector, validation, validate_every, settings.steps, events, interrupts
        )
        shown, tag = (validation.images, "validation") if validation else (images, "training")
        callbacks = StepCallbacks(
            [
                StepDecay(settings.rate, settings.decay_at, warmup=settings.warmup),
                DropoutMasks(settings.seed),
                nan_guard,
                TrainingStatistics(settings.steps, total_recall(images)),
                StagePictures(detector, shown, settings, validate_every, events, f"{tag}/stages"),
                log,  # from here on they write what those above have put into the log
                EventLog(events),
                Progress(settings.steps, settings.images_per_batch),
            ],
            model,
            LOG_EVERY,
            settings.steps,
            read_sums(checkpoint_path(run, start)) if start else None,
            after_step,
        )
        try:
            with interrupts:
                if validations:
                    validations.begin(start)
                if not is_trained and interrupts.received is None:
                    pixel_means = TRUNKS[settings.trunk].pixel_means
                    model.fit(
                        training_dataset(images, pixel_means, settings, start),
                        shuffle=False,  # it comes shuffled
                        steps_per_epoch=settings.steps - start,
                        callbacks=callbacks,
                    )
        except tf.errors.OpError as error:
            # Not the optimizer's count, which a step may advance although its images failed.
            _explain(error, done, records)
            raise
    step = _steps_done(model)
    saved = f"step {step} of {settings.steps} is saved in {run}" if step else "nothing is done yet"
    interrupts.check(f"{saved}, the same command with --resume goes on")


def _explain(error: tf.errors.OpError, step: int, records) -> None:
    """Raise an error that names the image, if an image of the step is why TensorFlow failed."""
    for record in records(step):
        try:
            read_image(record.path, record.orientation)
        except InputError as cause:
            raise InputError(
                f"step {step + 1} cannot read its images. {cause}. Put it back and go on with "
                "--resume"
            ) from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Within it the random weights of a model are a function of the seed.

    Keras draws the seeds of its initializers from Python's `random`; nothing else of a training is
    drawn from the state of the process, which is given back as it was.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def build_and_compile(images: ImageSet, settings: Settings) -> keras.Model:
    """The model of `settings` with its losses and the optimizer, ready for `fit`."""
    source = TrainedDetector(settings.initial, settings) if settings.initial else None
    finetune_from = settings.finetune_from
    if source:  # frozen by default as where weights are loaded
        finetune_from = finetune_from or TRUNKS[settings.trunk].finetune_from
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = FastRCNN(
            settings.class_names,
            settings.trunk,
            settings.weights,
            cached_target_statistics(images),
            settings.fc_units,
            settings.dropout,
            finetune_from,
            settings.min_side,
            settings.max_side,
            source.rescale if source else None,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    if source:
        source.copy_to(model)
    optimizer = SGD(settings.rate, settings.momentum, settings.l2, bias_decay=settings.bias_decay)
    model.compile(optimizer, box_loss_weight=settings.box_loss_weight)
    return model


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


def _check_data(run: Path, images: ImageSet, must_be_same: bool) -> None:
    """Note what the run is trained on; refuse other data than it began with."""
    now = fingerprint(images)
    before = load_fingerprint(run) if must_be_same else None
    if before is not None and (found := changes(before, now)):
        more = f" (and {len(found) - 1} more changes)" if len(found) > 1 else ""
        raise InputError(
            f"{run}: {images.dataset.name} is not what the run was begun with: {found[0]}{more}; "
            "put it back, or go on deliberately with --changed-data"
        )
    save_fingerprint(run, now)


def _steps_done(model: keras.Model) -> int:
    return int(model.optimizer.iterations.numpy())
