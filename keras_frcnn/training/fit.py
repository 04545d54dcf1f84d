"""Training: builds or resumes the model of a run and fits it with Keras."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.batches.examples import Share, batch_records
from keras_frcnn.batches.pipeline import batches_for
from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.files import make_folder
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
    read_sums,
    remove_leftovers,
)
from keras_frcnn.runs.directory import (
    detector_of,
    load_checkpoint,
    proposer_of,
    save_settings,
)
from keras_frcnn.runs.interrupts import Interrupts
from keras_frcnn.runs.lock import only_training
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build_and_compile, seeded
from keras_frcnn.training.callbacks import DropoutMasks, StepDecay, StopOnNaN
from keras_frcnn.training.checks import (
    check_data,
    check_detector,
    check_run,
    check_training_anchors,
    completed,
)
from keras_frcnn.training.cluster import Cluster, check_same, cluster, end_together, losses_named
from keras_frcnn.training.devices import distribution
from keras_frcnn.training.keras_workers import adapt
from keras_frcnn.training.saving import Saving, unreadable_images_named
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
        images: a data set, with its proposals unless the detector makes its own.
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

    Where `TF_CONFIG` names several workers, all call this alike, before TensorFlow has computed
    anything: each takes its share of every mini-batch, and the first writes the run.

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
        WorkersLost: another worker is gone.
    """
    if changed_data and not resume:
        raise InputError("changed_data: belongs to resume, a new run takes any data")
    for name, every in (("checkpoint", checkpoint_every), ("validate", validate_every)):
        if every < 1:
            raise InputError(f"{name}_every: must be at least 1, not {every}")
    run = Path(run)
    workers = cluster()
    # Before anything that TensorFlow computes: workers meet here.
    strategy = distribution(devices, (settings or Settings()).images_per_batch)
    settings = completed(settings or Settings(), images.dataset)
    check_detector(settings, images, validation)
    if resume or workers.is_first:
        check_run(run, settings, resume)
    if validation:
        check_class_names(settings.class_names, validation.images.dataset)
    with _written_by_first(run, workers), losses_named(workers):
        data = check_data(run, images, resume and not changed_data, workers.is_first)
        if settings.makes_proposals and not checkpoint_paths(run):
            check_training_anchors(settings, images.dataset)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        with strategy.scope():
            if checkpoint_paths(run):
                model = load_checkpoint(run, settings, compile=True)
            else:
                with seeded(settings.seed):
                    model = build_and_compile(images, settings)
        done = _steps_done(model)
        if done > settings.steps:
            raise InputError(
                f"{run} has done {done} steps already: to go on, steps must be more than these, "
                f"not {settings.steps}"
            )
        periods = checkpoint_every, *([validate_every] if validation else [])
        same = {"settings": settings, "data": data.digest(), "checkpoints": done, "steps": periods}
        check_same(workers, strategy, same)
        if workers.is_first:
            save_settings(run, settings)
            forget_best_after(run, done)
        try:
            _fit(run, model, images, settings, validation, workers, periods, validate_every)
        except Interrupted:  # after the last step one of several workers alone may be
            end_together(workers, strategy)
            raise
        end_together(workers, strategy)
    return model


@contextmanager
def _written_by_first(run: Path, workers: Cluster) -> Iterator[None]:
    """Within it the run directory is there, the first worker's alone to write."""
    if not workers.is_first:
        yield
        return
    make_folder(run)
    with only_training(run):
        remove_leftovers(run)
        yield


def _fit(
    run: Path,
    model: keras.Model,
    images: ImageSet,
    settings: Settings,
    validation: ValidationSet | None,
    workers: Cluster,
    periods: Sequence[int],
    validate_every: int,
) -> None:
    """Take the steps that the model has not done yet, and make the validation that is missing.

    Of several workers all take the steps; the first alone validates, draws and writes.

    Args:
        periods: of checkpoints, see `Saving`.

    The others, and errors, are those of `train`.
    """
    start = _steps_done(model)
    is_trained = start >= settings.steps
    interrupts = Interrupts()

    def records(step):  # of mini-batch number `step`, counted from 0
        return batch_records(images.dataset, step, settings)

    def is_stopping():
        return interrupts.received is not None

    if workers.count > 1:
        is_stopping = adapt(model, is_stopping)
    nan_guard = StopOnNaN(lambda step: [record.filename for record in records(step)])
    statistics = TrainingStatistics(
        settings.steps, None if images.proposals is None else total_recall(images.sample())
    )
    with ExitStack() as stack:
        validations, writers = None, []
        if workers.is_first:
            log = Log(run / "log.csv")
            log.forget_after(start)
            if is_trained and (validation is None or is_validated(run, start)):
                return
            events = stack.enter_context(EventFile(run / "tensorboard", start))
            is_rpn = settings.detector == "rpn"
            detector = (proposer_of if is_rpn else detector_of)(model, settings)
            validations = validation and Validation(
                run, detector, validation, validate_every, settings.steps, events, interrupts
            )
            shown, tag = (validation.images, "validation") if validation else (images, "training")
            writers = [
                StagePictures(detector, shown, settings, validate_every, events, f"{tag}/stages"),
                log,  # from here on they write what those above have put into the log
                EventLog(events),
                Progress(settings.steps, settings.images_per_batch),
            ]
        saving = Saving(
            run, model, settings, periods, validations, is_stopping, nan_guard, workers.is_first
        )
        callbacks = StepCallbacks(
            [
                StepDecay(settings.rate, settings.decay_at, warmup=settings.warmup),
                DropoutMasks(settings.seed, workers),
                nan_guard,
                statistics,
                *writers,
            ],
            model,
            LOG_EVERY,
            settings.steps,
            read_sums(checkpoint_path(run, start)) if start else None,
            saving,
        )
        with interrupts, unreadable_images_named(saving, records, images):
            if validations:
                validations.begin(start)
            # A signal at one of several workers ends all of them after the same step.
            if not is_trained and (workers.count > 1 or interrupts.received is None):
                model.fit(
                    _batches(model, images, settings, start, workers),
                    shuffle=False,  # it comes shuffled
                    steps_per_epoch=settings.steps - start,
                    callbacks=callbacks,
                )
    if model.stop_training and interrupts.received is None:
        interrupts.received = signal.SIGTERM  # another worker had it
    step = _steps_done(model)
    saved = f"step {step} of {settings.steps} is saved in {run}" if step else "nothing is done yet"
    interrupts.check(f"{saved}, the same command with --resume goes on")


def _batches(
    model: keras.Model, images: ImageSet, settings: Settings, start: int, workers: Cluster
) -> tf.data.Dataset:
    """The mini-batches from number `start` on; of several workers, each makes its share alone."""
    means = TRUNKS[settings.trunk].pixel_means
    if workers.count == 1:
        return batches_for(model, images, means, settings, start)
    strategy = model.distribute_strategy

    def share(context):
        number, count = context.input_pipeline_id, context.num_input_pipelines
        batches = batches_for(model, images, means, settings, start, Share(number, count))
        if strategy.num_replicas_in_sync == count:
            return batches
        return batches.rebatch(settings.images_per_batch // strategy.num_replicas_in_sync)

    return strategy.distribute_datasets_from_function(share)


def _steps_done(model: keras.Model) -> int:
    return int(model.optimizer.iterations.numpy())
