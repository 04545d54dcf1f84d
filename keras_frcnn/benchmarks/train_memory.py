"""Memory and tracing in a long training on images of many sizes: `bench train --memory`.

A small trunk on small images makes 1000 steps in a few minutes. What could grow does not depend on
the size of the network: TensorFlow's and oneDNN's caches, which hold kernels for each shape they
have met, the input pipeline and the fragments of the heap.
"""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.benchmarks.train_keras import make_batches
from keras_frcnn.benchmarks.train_workload import workload
from keras_frcnn.recipes import load_recipe
from keras_frcnn.training.build import build_and_compile
from keras_frcnn.training.devices import default_precision

IMAGES = 100
STEPS = 1000
EVERY = 100
PAGE = 4096  # bytes


class Watch(keras.callbacks.Callback):
    """Note (step, bytes of resident memory, traces so far) after every `every` mini-batches."""

    def __init__(self, every: int):
        super().__init__()
        self.every = every
        self.traces = 0
        self.rows = []

    def on_train_begin(self, logs=None):
        """Count the calls of what only tracing calls."""
        compute_loss = self.model.compute_loss

        def counted(*args, **kwargs):
            self.traces += 1
            return compute_loss(*args, **kwargs)

        self.model.compute_loss = counted

    def on_train_batch_end(self, batch, logs=None):
        """Look at the memory."""
        if (batch + 1) % self.every == 0:
            self.rows.append((batch + 1, resident_memory(), self.traces))


def resident_memory() -> int:
    """Bytes of this process that are in memory; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def watch(steps: int = STEPS, every: int = EVERY) -> str:
    """Train and report the memory in a Markdown table and a sentence."""
    rng = np.random.default_rng(0)
    sizes = [tuple(int(side) for side in size) for size in rng.integers(80, 200, (IMAGES, 2))]
    with tempfile.TemporaryDirectory() as folder:
        images = workload(Path(folder), sizes)
        settings = dataclasses.replace(
            load_recipe("squeezenet-voc07-subset").settings,
            class_names=images.dataset.class_names,
            precision=default_precision(),
            weights=None,
            fc_units=(64, 64),
            min_side=(64, 80, 96, 112, 128),
            max_side=200,
            rois_per_image=16,
        )
        batches = make_batches(images, settings)
        callback = Watch(every)
        build_and_compile(images, settings).fit(
            batches, shuffle=False, steps_per_epoch=steps, verbose=0, callbacks=[callback]
        )
    rows = callback.rows
    lines = ["| step | resident memory (MB) | traces |", "| --- | --- | --- |"]
    lines += [f"| {step} | {memory / 1e6:.1f} | {traces} |" for step, memory, traces in rows]
    growth = rows[-1][1] / rows[0][1] - 1
    return "\n".join(lines) + (
        f"\n\nFrom step {rows[0][0]} to {rows[-1][0]} the resident memory grew by {growth:.2%},"
        f" with {rows[-1][2] - rows[0][2]} new traces, on {IMAGES} images of different sizes at"
        f" {len(settings.min_side)} scales.\n"
    )
