"""Making proposals by a network, as `keras-frcnn bench proposals` measures it."""

from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.benchmarks.proposals_networks import build_proposer
from keras_frcnn.benchmarks.proposals_steps import LAYERS, NUMBERS, PROPOSE, SUPPRESS, Step
from keras_frcnn.benchmarks.turns import answer_named
from keras_frcnn.data.preprocessing import scale_image
from keras_frcnn.detection.proposer import Proposer
from keras_frcnn.export.frozen import frozen_function
from keras_frcnn.export.precision import with_precision
from keras_frcnn.models.rpn_levels import proposing

SIZES = tf.TensorSpec([None, 2], tf.int32)


def load_steps(
    proposer: Proposer, images: Sequence[np.ndarray], precisions: Sequence[str]
) -> dict[Step, Callable[[], dict]]:
    """Functions that run the steps and return their outputs, tensors by name.

    The trunk has done its part before: its features serve the detector as well.

    Args:
        proposer: in float32.
        images: uint8 RGB [H, W, 3], of the size that the network sees.
        precisions: what the network computes in.
    """
    steps = {}
    for precision in precisions:
        made = Proposer(
            with_precision(proposer.model, precision),
            proposer.pixel_means,
            proposer.min_side,
            proposer.max_side,
            proposer.model.options,
        )
        rpn = rpn_of(made)
        suppressions = {numbers: suppression(made, numbers) for numbers in NUMBERS}
        propose = _one_after_the_other(rpn, suppressions[NUMBERS[0]])
        for i, image in enumerate(images):
            pixels = scale_image(image[None], image.shape[:2], made.pixel_means)
            sizes = tf.constant([image.shape[:2]], tf.int32)
            features = made.network_maps(pixels)["features"]
            maps = rpn(features)
            steps[Step(LAYERS, i, precision)] = _bound(rpn, features)
            steps[Step(PROPOSE, i, precision)] = _bound(propose, features, sizes)
            for numbers, suppress in suppressions.items():
                run = _bound(suppress, maps["scores"], maps["deltas"], sizes)
                steps[Step(SUPPRESS, i, precision, numbers)] = run
    return steps


def rpn_of(proposer: Proposer) -> Callable:
    """The layers from features to scores and deltas, with constant weights as in an export."""
    maps = proposer.maps
    outputs = {name: maps.output[name] for name in ("scores", "deltas")}
    rpn = keras.Model(maps.output["features"], outputs)
    features = tf.TensorSpec(rpn.input.shape, rpn.input.dtype)
    return frozen_function(rpn, lambda x: rpn(x, training=False), [features])


def suppression(proposer: Proposer, numbers: tuple[int | None, int]) -> Callable:
    """From scores and deltas to proposals, with other numbers than those of the proposer."""
    layer = proposing(proposer.model.options, *numbers)
    maps = (proposer.maps.output[name] for name in ("scores", "deltas"))

    def suppress(scores, deltas, sizes):
        proposals, objectness = layer(scores, deltas, sizes, tf.ones([1, 2]))
        return {"proposals": proposals, "objectness": objectness}

    return _traced(suppress, *(tf.TensorSpec(x.shape, x.dtype) for x in maps), SIZES)


def serve(
    pipe: Connection,
    threads: int,
    trunk: str,
    run: str | None,
    images: Sequence[np.ndarray],
    precisions: Sequence[str],
) -> None:
    """Answer for the steps of one network (`turns.answer_named`)."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    answer_named(pipe, load_steps(build_proposer(trunk, images[0], run), images, precisions))


def _one_after_the_other(rpn, suppress):
    def propose(features, sizes):
        maps = rpn(features)
        return suppress(maps["scores"], maps["deltas"], sizes)

    return _traced(propose, *rpn.structured_input_signature[0], SIZES)


def _traced(function, *signature):
    return tf.function(function, signature, autograph=False).get_concrete_function()


def _bound(function, *arguments):
    return lambda: function(*arguments)
