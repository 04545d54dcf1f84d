"""The training step of `keras-frcnn bench train` in this package: `fit`, one step at a time."""

import dataclasses
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import keras
import tensorflow as tf

from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.benchmarks.train_stages import read_profile, stage_seconds
from keras_frcnn.benchmarks.train_workload import workload
from keras_frcnn.benchmarks.turns import STAGES, STEP, Stopwatch
from keras_frcnn.data.dataset import ImageSet
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
        """Wait for the question."""
        self.question = self.pipe.recv()
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


def recipe_settings(precision: str) -> Settings:
    """`vgg16-voc07`, but with random weights, which take a step as long as ImageNet's."""
    settings = load_recipe("vgg16-voc07").settings
    return dataclasses.replace(settings, weights=None, precision=precision)


def make_batches(images: ImageSet, settings: Settings) -> tf.data.Dataset:
    """What a training of `settings` passes to `fit`."""
    return training_dataset(images, TRUNKS[settings.trunk].pixel_means, settings)


def one_batch(settings: Settings, size: tuple[int, int]) -> tuple:
    """A mini-batch of images of this (height, width), in arrays."""
    with tempfile.TemporaryDirectory() as folder:
        images = workload(Path(folder), [size] * settings.images_per_batch)
        return next(make_batches(images, settings).as_numpy_iterator())


def serve(
    pipe: Connection,
    threads: int,
    settings: Settings,
    size: tuple[int, int],
    batch: tuple | None,
) -> None:
    """Train for as long as there are questions.

    Args:
        size: height and width of the images.
        batch: of `one_batch`, to train on it alone; None to train on image files.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        images = workload(Path(folder), [size] * IMAGES)
        settings = dataclasses.replace(settings, class_names=images.dataset.class_names)
        if batch is None:
            batches = make_batches(images, settings)
        else:
            batches = tf.data.Dataset.from_tensors(batch).repeat()
        model = build_and_compile(images, settings)
        for name in TRUNKS[settings.trunk].frozen():  # as with ImageNet's weights
            model.get_layer(name).trainable = False
        model.fit(
            batches,
            shuffle=False,
            steps_per_epoch=1_000_000_000,
            verbose=0,
            callbacks=[Turn(pipe, Path(folder))],
        )
