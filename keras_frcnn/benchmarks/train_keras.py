"""The training step of `keras-frcnn bench train` in this package: `fit`, one step at a time."""

import dataclasses
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.batches.pipeline import batches_for, training_dataset
from keras_frcnn.benchmarks.memory import peak_memory
from keras_frcnn.benchmarks.train_stages import read_profile, stage_seconds
from keras_frcnn.benchmarks.train_workload import workload
from keras_frcnn.benchmarks.turns import PEAK, STAGES, STEP, Stopwatch
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.recipes import load_recipe
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build_and_compile

IMAGES = 32


class Turn(keras.callbacks.Callback):
    """Make each mini-batch of `fit` the answer to a question: its duration or its stages."""

    def __init__(self, pipe: Connection, folder: Path):
        super().__init__()
        self.pipe = pipe
        self.folder = folder

    def on_train_batch_begin(self, batch, logs=None):
        """Wait for the question; one for the memory needs no mini-batch."""
        while (question := self.pipe.recv()) == PEAK:
            self.pipe.send(peak_memory())
        self.question = question
        if self.question == STAGES:
            self.profile = tempfile.TemporaryDirectory(dir=self.folder)
            tf.profiler.experimental.start(self.profile.name)
        self.watch = Stopwatch()

    def on_train_batch_end(self, batch, logs=None):
        """Answer."""
        wall, processor = self.watch.read()
        if self.question == STEP:
            self.pipe.send((wall, processor))
            return
        tf.profiler.experimental.stop()
        with self.profile:
            self.pipe.send(stage_seconds(read_profile(Path(self.profile.name)), wall))


def recipe_settings(
    precision: str, detector: str = "fast_rcnn", recipe: str = "vgg16-voc07"
) -> Settings:
    """A recipe of Fast R-CNN, but with random weights, which take a step as long as ImageNet's.

    Another detector has its own number of RoIs, and its own background.
    """
    changes = {"weights": None, "precision": precision, "detector": detector}
    if detector != "fast_rcnn":
        changes |= {"rois_per_image": None, "bg_iou_low": None}
    return dataclasses.replace(load_recipe(recipe).settings, **changes)


def freeze(model: keras.Model, settings: Settings, finetune_from: str | None = None) -> None:
    """Freeze what a training with ImageNet's weights would, or what comes before a part."""
    for name in TRUNKS[settings.trunk].frozen(finetune_from, settings.detector):
        model.get_layer(name).trainable = False


def one_batch(settings: Settings, size: tuple[int, int]) -> tuple:
    """A mini-batch of Fast R-CNN, of images of this (height, width), in arrays."""
    with tempfile.TemporaryDirectory() as folder:
        images = workload(Path(folder), [size] * settings.images_per_batch)
        batches = training_dataset(images, TRUNKS[settings.trunk].pixel_means, settings)
        return next(batches.as_numpy_iterator())


def serve(
    pipe: Connection,
    threads: int,
    settings: Settings,
    size: tuple[int, int],
    batch: tuple | None,
    finetune_from: str | None = None,
) -> None:
    """Train for as long as there are questions.

    Args:
        size: height and width of the images.
        batch: of `one_batch`, to train on it alone; None to train on image files.
        finetune_from: as for `freeze`.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        images = workload(Path(folder), [size] * IMAGES)
        settings = dataclasses.replace(settings, class_names=images.dataset.class_names)
        model = build_and_compile(images, settings)
        freeze(model, settings, finetune_from)
        if batch is None:
            means = TRUNKS[settings.trunk].pixel_means
            batches = batches_for(model, images, means, settings)
        else:
            batches = tf.data.Dataset.from_tensors(batch).repeat()
        model.fit(
            batches,
            shuffle=False,
            steps_per_epoch=1_000_000_000,
            verbose=0,
            callbacks=[Turn(pipe, Path(folder))],
        )
