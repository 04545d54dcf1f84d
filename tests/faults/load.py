"""What runs for long: eight threads on one export, and detections one after the other."""

import gc
import threading
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_frcnn.detection.detector import Detector
from tests.export.conftest import MEANS, small_model
from tests.export.requests import encoded, photograph, proposals_in
from tests.faults.campaign import Lost
from tests.faults.serving import signatures

THREADS = 8
REQUESTS = 25  # of a thread in a try
DETECTIONS = 250  # in a try
WARM_UP = 4  # tries
GROWTH = 100  # MB after the warm-up that are no leak: what the system keeps for threads


def threads(folder: Path):
    """Answers under eight threads are those to one, and some requests are refused meanwhile."""
    serve = signatures(folder)["serving_default"]
    sizes = [(60, 80), (80, 60), (64, 64), (48, 100)]
    requests = []
    for i, (height, width) in enumerate(sizes):
        files = [encoded(photograph(height, width, seed=j), "JPEG") for j in range(1 + i % 2)]
        boxes = np.stack(
            [proposals_in(height, width, 20 + 10 * i, seed=j) for j in range(len(files))]
        )
        requests.append((tf.constant(files), tf.constant(boxes)))
    expected = [_numbers(serve(image_bytes=a, proposals=b)) for a, b in requests]
    memory = _Memory()

    def attempt(rng):
        faults = []
        chosen = rng.integers(len(requests), size=(THREADS, REQUESTS))

        def ask(order):
            try:
                for k in order:
                    image_bytes, proposals = requests[k]
                    found = _numbers(serve(image_bytes=image_bytes, proposals=proposals))
                    if not all(map(np.array_equal, found, expected[k])):
                        faults.append(f"another answer to request {k}")
                    try:
                        serve(image_bytes=image_bytes, proposals=-proposals)
                        faults.append("inverted proposals are answered")
                    except tf.errors.InvalidArgumentError:
                        pass
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")

        running = [threading.Thread(target=ask, args=(order,)) for order in chosen]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        if faults:
            raise Lost(f"{len(faults)} x, first: {faults[0]}")
        return memory.note(THREADS * REQUESTS)

    return attempt


def detections(folder: Path):
    """A detector's memory is flat."""
    detector = Detector(small_model(), MEANS, min_side=64, max_side=100)
    images = [photograph(48 + 4 * i, 80 - 3 * i, seed=i) for i in range(5)]
    boxes = [proposals_in(*image.shape[:2], 20 + i, seed=i) for i, image in enumerate(images)]
    expected = [detector.detect(*pair) for pair in zip(images, boxes, strict=True)]
    memory = _Memory()

    def attempt(rng):
        for k in rng.integers(len(images), size=DETECTIONS):
            found = detector.detect(images[k], boxes[k])
            if not np.array_equal(found.boxes, expected[k].boxes):
                raise Lost(f"other detections in image {k}")
        return memory.note(DETECTIONS)

    return attempt


class _Memory:
    """Of this process from try to try."""

    def __init__(self):
        self.resident, self.done = [], 0

    def note(self, count: int) -> str:
        """Look after a try of `count` calls; raises `Lost` where memory has grown too much."""
        gc.collect()
        self.done += count
        self.resident.append(_resident())
        after = self.resident[min(WARM_UP, len(self.resident) - 1)]
        grown = self.resident[-1] - after
        note = f"{self.done} calls, {self.resident[-1]:.0f} MB, {grown:+.1f} MB after the warm-up"
        if grown > GROWTH:
            raise Lost(note)
        return note


def _numbers(outputs):
    return [outputs[name].numpy() for name in sorted(outputs)]


def _resident() -> float:
    """MB that the process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
