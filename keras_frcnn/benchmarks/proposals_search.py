"""Selective search, as `keras-frcnn bench proposals` measures it, in a process of its own."""

from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from keras_frcnn.benchmarks.proposals_steps import BOXES, SEARCH, Step
from keras_frcnn.benchmarks.turns import answer_named
from keras_frcnn.opencv import opencv
from keras_frcnn.proposals.selective_search import SelectiveSearch


def serve(pipe: Connection, threads: int, images: Sequence[np.ndarray]) -> None:
    """Answer for the search on each image (`turns.answer_named`)."""
    opencv().setNumThreads(threads)
    search = SelectiveSearch()

    def run(image):
        return lambda: {BOXES: search(image)}

    answer_named(pipe, {Step(SEARCH, i): run(image) for i, image in enumerate(images)})
