"""Training: builds or resumes the model of a run and fits it with Keras."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.batches.pipeline import batch_records, training_dataset
from keras_frcnn.batches.target_statistics import cached_target_statistics
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.data.images import read_image
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder
from keras_frcnn.models.fast_rcnn import fast_rcnn
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.monitoring.csv_log import Log
from keras_frcnn.monitoring.gradients import TrainingStatistics
from keras_frcnn.monitoring.progress import Progress
from keras_frcnn.monitoring.stage_pictures import StagePictures
from keras_frcnn.monitoring.tensorboard import EventFile, EventLog
from keras_frcnn.monitoring.validation import Validation, is_validated
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
from keras_frcnn.runs.interrupts import Interrupts
from keras_frcnn.runs.lock import only_training
from keras_frcnn.settings import Settings
from keras_frcnn.training.callbacks import DropoutMasks, StepDecay, StopOnNaN
from keras_frcnn.training.devices import distribution
from keras_frcnn.training.fine_tuning import TrainedDetector
from keras_frcnn.training.losses import BoxRegressionLoss, ClassificationLoss, ForegroundShare
from keras_frcnn.training.optimizer import SGD
from keras_frcnn.training.steps import StepCallbacks

LOG_EVERY = 100  # mini-batches: the length of what the callbacks call an epoch


def train(
    run: Path,
    dataset: Dataset,
    proposals: Sequence[np.ndarray],
    settings: Settings,
    resume: bool = False,
    checkpoint_every: int = 500,
    validation: tuple[Dataset, Sequence[np.ndarray]] | None = None,
    validate_every: int = 1000,
    metric: str = "area",
    devices: str | None = None,
) -> keras.Model:
    """Train in the run directory `run` until `settings.steps` mini-batches are done.

    Args:
        proposals: float32 [P, 4] in pixels for each image of `dataset`.
        resume: go on from the run's newest checkpoint, from the beginning where it has none yet;
            only `Settings.FREE_ON_RESUME` may differ from the run's settings.
        checkpoint_every: mini-batches between checkpoints.
        validation: another data set and its proposals, to watch the mAP of and to choose the best
            model by (`Validation`).
        validate_every: mini-batches between validations, and between pictures for TensorBoard,
            which are of the training set where there is no `validation`.
        metric: of the mAP, see `evaluation.evaluate`.
        devices: that share each mini-batch, see `devices.distribution`.

    With `settings.deterministic` a run that was stopped or killed at any moment and resumed ends
    with the same bits as one that was not. It switches on TensorFlow's op determinism, for the
    whole process.

    Returns:
        The trained, compiled model; the same is in the run's newest checkpoint.

    Raises:
        InputError: the run exists and `resume` is not given, or was made with other settings, or
            another process trains in it; or training cannot go on: it has diverged, an image
            cannot be read any more, the disk cannot be written. The run's checkpoints stay as they
            were.
        Interrupted: SIGINT or SIGTERM came; the state after the last step is saved.
    """
    for name, every in (("checkpoint", checkpoint_every), ("validate", validate_every)):
        if every < 1:
            raise InputError(f"{name}_every: must be at least 1, not {every}")
    check_run(run, settings, resume)
    make_folder(run)
    with only_training(run):
        remove_leftovers(run)
        keras.utils.set_random_seed(settings.seed)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        with distribution(devices, settings.images_per_batch).scope():
            if checkpoint_paths(run):
                model = load_checkpoint(run, settings, compile=True)
            else:
                model = build_and_compile(dataset, proposals, settings)
        done = int(model.optimizer.iterations.numpy())
        if done > settings.steps:
            raise InputError(
                f"{run} has done {done} steps already: to go on, steps must be more than these, "
                f"not {settings.steps}"
            )
        save_settings(run, settings)
        _fit(
            run,
            model,
            dataset,
            proposals,
            settings,
            checkpoint_every,
            validation,
            validate_every,
            metric,
        )
    return model


def _fit(
    run: Path,
    model: keras.Model,
    dataset: Dataset,
    proposals: Sequence[np.ndarray],
    settings: Settings,
    checkpoint_every: int,
    validation: tuple[Dataset, Sequence[np.ndarray]] | None,
    validate_every: int,
    metric: str,
) -> None:
    """Take the steps that the model has not done yet, and make the validation that is missing.

    Arguments and errors are those of `train`.
    """
    start = int(model.optimizer.iterations.numpy())
    log = Log(run / "log.csv")
    log.forget_after(start)
    is_trained = start >= settings.steps
    if is_trained and (validation is None or is_validated(run, start)):
        return
    batches = training_dataset(
        dataset,
        proposals,
        TRUNKS[settings.trunk].pixel_means,
        settings.seed,
        settings.min_side,
        settings.max_side,
        settings.images_per_batch,
        settings.rois_per_image,
        start,
        settings.group_by_aspect,
    )

    def records(step):  # of mini-batch number `step`, counted from 0
        return batch_records(
            dataset, step, settings.seed, settings.images_per_batch, settings.group_by_aspect
        )

    nan_guard = StopOnNaN(lambda step: [record.filename for record in records(step)])
    interrupts = Interrupts()
    done = start

    def after_step(step):
        nonlocal done
        done = step
        model.stop_training = interrupts.received is not None
        if model.stop_training or step % checkpoint_every == 0 or step == settings.steps:
            if not is_finite(model):
                raise nan_guard.error("weights or momentum are not finite")
            save_checkpoint(run, model, settings.keep_checkpoints)

    with EventFile(run / "tensorboard", start) as events:
        detector = detector_of(model, settings)
        pictures = StagePictures(
            detector,
            *(validation or (dataset, proposals)),
            validate_every,
            settings.rois_per_image,
            settings.seed,
            events,
            "validation/stages" if validation else "training/stages",
        )
        validations = validation and Validation(
            run,
            detector,
            *validation,
            validate_every,
            settings.steps,
            metric,
            events,
            interrupts,
        )
        callbacks = StepCallbacks(
            [
                StepDecay(settings.rate, settings.decay_at, warmup=settings.warmup),
                DropoutMasks(settings.seed),
                nan_guard,
                TrainingStatistics(settings.steps, total_recall(proposals, dataset)),
                *([validations] if validations else []),
                pictures,
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
                    model.fit(
                        batches,
                        shuffle=False,  # `batches` comes shuffled
                        steps_per_epoch=settings.steps - start,
                        callbacks=callbacks,
                    )
        except tf.errors.OpError as error:
            # Not the optimizer's count, which a step may advance although its images failed.
            _explain(error, done, records)
            raise
    step = int(model.optimizer.iterations.numpy())
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


def build_and_compile(
    dataset: Dataset, proposals: Sequence[np.ndarray], settings: Settings
) -> keras.Model:
    """The model of `settings` with its two losses and the optimizer, ready for `fit`."""
    mean, std = cached_target_statistics(dataset, proposals)
    source = TrainedDetector(settings.initial, settings) if settings.initial else None
    finetune_from = settings.finetune_from
    if source:  # frozen by default as where weights are loaded
        finetune_from = finetune_from or TRUNKS[settings.trunk].finetune_from
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = fast_rcnn(
            len(settings.class_names),
            settings.trunk,
            settings.weights,
            settings.fc_units,
            mean,
            std,
            settings.dropout,
            finetune_from,
            source.rescale if source else None,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    if source:
        source.copy_to(model)
    model.compile(
        optimizer=SGD(
            settings.rate, settings.momentum, settings.l2, bias_decay=settings.bias_decay
        ),
        loss={
            "cls_score": ClassificationLoss(),
            "bbox_pred": BoxRegressionLoss(std, settings.box_loss_weight),
        },
        metrics={"cls_score": [ForegroundShare()]},
        # XLA is slower than TensorFlow's own kernels on the CPU, and the RoI pooling op has no
        # XLA version.
        jit_compile=False,
    )
    return model


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
    changed = [k for k in old if old[k] != new[k] and k not in Settings.FREE_ON_RESUME]
    if changed:
        raise InputError(
            "--resume goes on with the settings of the run; these differ: "
            + ", ".join(f"{k} (run: {old[k]}, now: {new[k]})" for k in changed)
        )
