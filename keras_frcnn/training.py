"""Training: builds or resumes the model of a run and fits it with Keras."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.callbacks import Checkpoint, Log, StepDecay, StopAtStep, StopOnNaN
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError
from keras_frcnn.events import EventFile, EventLog
from keras_frcnn.files import make_folder
from keras_frcnn.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.metrics import ForegroundShare
from keras_frcnn.model import fast_rcnn
from keras_frcnn.optimizer import SGD
from keras_frcnn.pipeline import training_dataset
from keras_frcnn.progress import Progress
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.runs import detector_of, load_checkpoint, load_settings, save_settings
from keras_frcnn.settings import Settings
from keras_frcnn.stage_pictures import StagePictures
from keras_frcnn.statistics import TrainingStatistics
from keras_frcnn.targets import target_statistics
from keras_frcnn.trunks import TRUNKS
from keras_frcnn.validation import Validation

LOG_EVERY = 100  # mini-batches: the length of what Keras calls an epoch


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
) -> keras.Model:
    """Train in the run directory `run` until `settings.steps` mini-batches are done.

    Args:
        proposals: float32 [P, 4] in pixels for each image of `dataset`.
        resume: go on from the run's checkpoint, from the beginning where it has none yet; only
            `steps` may differ from the run's settings.
        checkpoint_every: mini-batches between checkpoints.
        validation: another data set and its proposals, to watch the mAP of and to choose the best
            model by (`Validation`).
        validate_every: mini-batches between validations, and between pictures for TensorBoard,
            which are of the training set where there is no `validation`.
        metric: of the mAP, see `evaluation.evaluate`.

    Returns:
        The trained, compiled model; the same is in `run/checkpoint.keras`.

    Raises:
        InputError: the run exists and `resume` is not given, or was made with other settings.
    """
    for name, every in (("checkpoint", checkpoint_every), ("validate", validate_every)):
        if every < 1:
            raise InputError(f"{name}_every: must be at least 1, not {every}")
    check_run(run, settings, resume)
    make_folder(run)
    if (run / "checkpoint.keras").exists():
        model = load_checkpoint(run, settings, compile=True)
    else:
        keras.utils.set_random_seed(settings.seed)
        model = build_and_compile(dataset, proposals, settings)
    save_settings(run, settings)

    start = int(model.optimizer.iterations.numpy())
    log = Log(run / "log.csv")
    log.forget_after(start)
    if start >= settings.steps:
        return model
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
    )
    # Keras saves no random state: without this a resumed run would repeat the first masks.
    for i, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.seed_generator.state.assign([settings.seed + i, start])
    first_epoch = start // LOG_EVERY
    detector = detector_of(model, settings)
    with EventFile(run / "tensorboard", start) as events:
        callbacks = [
            StepDecay(settings.rate, settings.decay_at, warmup=settings.warmup),
            StopOnNaN(),
            StopAtStep(settings.steps),
            TrainingStatistics(settings.steps, total_recall(proposals, dataset)),
        ]
        if validation:
            callbacks.append(
                Validation(
                    run, detector, *validation, validate_every, settings.steps, metric, events
                )
            )
        callbacks += [
            StagePictures(
                detector,
                *(validation or (dataset, proposals)),
                validate_every,
                settings.rois_per_image,
                settings.seed,
                events,
                "validation/stages" if validation else "training/stages",
            ),
            Checkpoint(run / "checkpoint.keras", checkpoint_every),
            log,
            EventLog(events),
            Progress(settings.steps, settings.images_per_batch),
        ]
        model.fit(
            batches,
            shuffle=False,  # `batches` comes shuffled
            steps_per_epoch=LOG_EVERY,
            initial_epoch=first_epoch,
            epochs=first_epoch + math.ceil((settings.steps - start) / LOG_EVERY),
            callbacks=callbacks,
            verbose=0,  # `Progress` counts over the whole run
        )
    return model


def build_and_compile(
    dataset: Dataset, proposals: Sequence[np.ndarray], settings: Settings
) -> keras.Model:
    """The model of `settings` with its two losses and the optimizer, ready for `fit`."""
    mean, std = target_statistics(dataset, proposals)
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
            settings.finetune_from,
        )
    finally:
        keras.config.set_dtype_policy(policy)
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
        if (run / "checkpoint.keras").exists():
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
