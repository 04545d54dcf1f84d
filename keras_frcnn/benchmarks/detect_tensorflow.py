"""The steps of `keras-frcnn bench detect` that are ours: SavedModels, loaded and run."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import absl.logging
import numpy as np
import tensorflow as tf

from keras_frcnn.benchmarks.detect_models import export_path, parts_path
from keras_frcnn.benchmarks.detect_steps import (
    CUSTOM,
    DETECT,
    HEADS,
    NETWORK,
    POOL,
    PORTABLE,
    PREPARE,
    RCNN,
    SUPPRESS,
    TRUNK,
    Inputs,
    Step,
    our_steps,
)
from keras_frcnn.benchmarks.turns import answer_named
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.errors import InputError


def load_steps(
    folder: Path, inputs: Inputs, rcnn_sample: int, precision: str, svd: bool
) -> dict[Step, Callable[[], dict]]:
    """Functions that run `our_steps` and return their outputs, tensors by name.

    Of one precision, with or without SVD: loaded and run, the SavedModels of all four together
    take more than 13 GB of memory.

    Args:
        folder: as `detect_models.write_models` fills it.
        inputs: of all steps. Parts get the outputs of the parts before them.
        rcnn_sample: how many proposals R-CNN classifies.
        precision, svd: of the SavedModels.

    Raises:
        InputError: the compiled op cannot be built here.
    """
    if load_library() is None:
        raise InputError("bench detect: the custom op cannot be built here")
    steps = {}
    for ops in (PORTABLE, CUSTOM):
        export = tf.saved_model.load(str(export_path(folder, precision, ops, svd)))
        steps[Step(DETECT, precision, ops, svd)] = _detect(export, inputs)
    parts = tf.saved_model.load(str(parts_path(folder, precision, svd)))
    for what, run in _parts(parts, inputs, rcnn_sample).items():
        steps[Step(what, precision, CUSTOM, svd)] = run
    return {step: steps[step] for step in our_steps(precision, svd)}


def sample(rois: np.ndarray, count: int) -> np.ndarray:
    """`count` RoIs of the list, or all, spread evenly over it."""
    return rois[np.linspace(0, len(rois) - 1, min(count, len(rois))).astype(int)]


def serve(pipe: Connection, threads: int, *arguments) -> None:
    """Answer for our steps (`turns.answer_named`); `arguments` are those of `load_steps`."""
    absl.logging.set_verbosity(absl.logging.ERROR)  # exports have no gradients, it would say
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    answer_named(pipe, load_steps(*arguments))


def _detect(export, inputs):
    images, proposals = tf.constant(inputs.image[None]), tf.constant(inputs.proposals[None])
    # Named here, the model lives as long as the function: a signature does not keep it alive.
    return lambda: export.signatures["detect_pixels"](images=images, proposals=proposals)


def _parts(parts, inputs, rcnn_sample):
    """The steps of a SavedModel that `detect_models.write_parts` has written, by what they are."""
    image, proposals = tf.constant(inputs.image[None]), tf.constant(inputs.proposals[None])
    images, rois = tf.constant(inputs.scaled), tf.constant(inputs.rois[None])
    some = tf.constant(sample(inputs.rois, rcnn_sample)[None])
    size = tf.constant(inputs.image.shape[:2], tf.int32)

    def run(name, **arguments):
        return lambda: parts.signatures[name](**arguments)

    features = run("trunk", images=images)()
    pooled = run("roi_pool", **features, rois=rois)()
    outputs = run("classify", **pooled)()
    return {
        NETWORK: run("network", images=images, rois=rois),
        PREPARE: run("prepare", image=image, proposals=proposals),
        TRUNK: run("trunk", images=images),
        POOL: run("roi_pool", **features, rois=rois),
        HEADS: run("classify", **pooled),
        SUPPRESS: run("suppress", **outputs, proposals=proposals, image_size=size),
        RCNN: run("rcnn", images=images, rois=some),
    }
