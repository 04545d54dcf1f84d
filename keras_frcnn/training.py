"""Training: builds or resumes the model of a run and fits it with Keras."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.callbacks import Checkpoint, Log, StepDecay, StopAtStep, StopOnNaN
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_folder
from keras_frcnn.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.model import fast_rcnn
from keras_frcnn.optimizer import SGD
from keras_frcnn.pipeline import training_dataset
from keras_frcnn.runs import load_checkpoint, load_settings, save_settings
from keras_frcnn.settings import Settings
from keras_frcnn.targets import target_statistics
from keras_frcnn.trunks import TRUNKS

LOG_EVERY = 100  # mini-batches: the length of what Keras calls an epoch


def train(
    run: Path,
    dataset: Dataset,
    proposals: Sequence[np.ndarray],
    settings: Settings,
    resume: bool = False,
    checkpoint_every: int = 500,
) -> keras.Model:
    """Train in the run directory `run` until `settings.steps` mini-batches are done.

    Args:
        proposals: float32 [P, 4] in pixels for each image of `dataset`.
        resume: go on from the run's checkpoint, from the beginning where it has none yet; only
            `steps` may differ from the run's settings.
        checkpoint_every: mini-batches between checkpoints.

    Returns:
        The trained, compiled model; the same is in `run/checkpoint.keras`.

    Raises:
        InputError: the run exists and `resume` is not given, or was made with other settings.
    """
    if checkpoint_every < 1:
        raise InputError(f"checkpoint_every: must be at least 1, not {checkpoint_every}")
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
    model.fit(
        batches,
        shuffle=False,  # `batches` comes shuffled
        steps_per_epoch=LOG_EVERY,
        initial_epoch=first_epoch,
        epochs=first_epoch + math.ceil((settings.steps - start) / LOG_EVERY),
        callbacks=[
            StepDecay(settings.rate, settings.decay_at, warmup=settings.warmup),
            StopOnNaN(),
            StopAtStep(settings.steps),
            Checkpoint(run / "checkpoint.keras", checkpoint_every),
            log,
        ],
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
        )
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(
        optimizer=SGD(settings.rate, settings.momentum, settings.l2),
        loss={
            "cls_score": ClassificationLoss(),
            "bbox_pred": BoxRegressionLoss(std, settings.box_loss_weight),
        },
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
    changed = [k for k in old if old[k] != new[k] and k != "steps"]
    if changed:
        raise InputError(
            "--resume goes on with the settings of the run; these differ: "
            + ", ".join(f"{k} (run: {old[k]}, now: {new[k]})" for k in changed)
        )
