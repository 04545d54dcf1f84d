"""What `serving_default` costs beside `detect_pixels`, with 1, 2 and 8 requests at once.

On a small network, SqueezeNet at 96 x 128 pixels, so that what is not the network shows. Decoding
is added to `detect_pixels` by TensorFlow's op alone, without any check.
"""

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import absl.logging
import numpy as np
import tensorflow as tf

from keras_frcnn.benchmarks.detect_models import build_detector
from keras_frcnn.benchmarks.detect_steps import (
    CALLERS,
    DECODED,
    IMAGES,
    SERVED,
    Calls,
    Source,
)
from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois
from keras_frcnn.benchmarks.train_workload import photograph
from keras_frcnn.benchmarks.turns import answer_named
from keras_frcnn.data.images import decode_image
from keras_frcnn.export.saved_model import export_saved_model

SOURCE = Source(trunk="squeezenet", fc_units=(128, 128), min_side=96, max_side=160)
SIZE = (300, 400)  # pixels of the photograph, height and width
PROPOSALS = 300


def serve(pipe: Connection, threads: int) -> None:
    """Answer for every `Calls` (`turns.answer_named`); the time is of `IMAGES` images."""
    absl.logging.set_verbosity(absl.logging.ERROR)  # exports have no gradients, it would say
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        detector = build_detector(SOURCE)
        names = [f"class {k + 1}" for k in range(SOURCE.num_classes)]
        export = tf.saved_model.load(str(export_saved_model(detector, Path(folder), names)))
    answer_named(pipe, load_calls(export.signatures))


def load_calls(signatures: Mapping[str, Callable]) -> dict[Calls, Callable[[], dict]]:
    """Functions that ask for `IMAGES` images each, from as many threads as `Calls` says.

    Args:
        signatures: of an export.
    """
    image = photograph(np.random.default_rng(0), *SIZE)
    encoded = tf.io.encode_jpeg(image, quality=90)
    proposals = tf.constant(selective_search_like_rois(PROPOSALS, 1, *SIZE)[None, :, 1:])
    decode = tf.function(
        decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
    )

    def served(_):
        return signatures["serving_default"](image_bytes=encoded[None], proposals=proposals)

    def decoded(_):
        return signatures["detect_pixels"](images=decode(encoded)[None], proposals=proposals)

    def calls(ask, callers):
        def run():
            with ThreadPoolExecutor(callers) as pool:
                return list(pool.map(ask, range(IMAGES)))[-1]

        return run

    asked = {SERVED: served, DECODED: decoded}
    return {Calls(what, n): calls(ask, n) for n in CALLERS for what, ask in asked.items()}
