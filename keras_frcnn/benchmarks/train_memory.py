"""Memory and tracing in a long training on images of many sizes: `bench train --memory`.

A small trunk on small images makes 1000 steps in a few minutes. What could grow does not depend on
the size of the network: TensorFlow's and oneDNN's caches, which hold kernels for each shape they
have met, the input pipeline and the fragments of the heap. What share of the whole that is does,
and `--vgg16` shows it.
"""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_frcnn.batches.pipeline import batches_for
from keras_frcnn.benchmarks.memory import resident_memory
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.train_keras import freeze, recipe_settings
from keras_frcnn.benchmarks.train_workload import workload
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.settings import Settings
from keras_frcnn.training.build import build_and_compile

EVERY = 100  # steps
SMALL = {
    "fc_units": (64, 64),
    "min_side": (64, 80, 96, 112, 128),
    "max_side": 200,
    "rois_per_image": 16,
    "anchor_scales": (1.0, 2.0, 4.0),  # the largest of the usual ones is larger than the images
}


class Watch(keras.callbacks.Callback):
    """Note (step, bytes of resident memory, traces so far) after every `every` mini-batches.

    Of the traces the first two are one function's: TensorFlow traces it again without what makes
    variables, here those of Keras's losses.
    """

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


def settings_and_sizes(
    detector: str, precision: str, vgg16: bool, images: int
) -> tuple[Settings, list[tuple[int, int]]]:
    """What is trained, and (height, width) of the images, no two the same.

    Args:
        vgg16: whether it is the recipe itself, on images of the shapes of photographs.
    """
    rng = np.random.default_rng(0)
    if vgg16:
        shorter = rng.choice(np.arange(300, 451), images, replace=False)
        sizes = [(int(side), 500) for side in shorter]
        sizes[::5] = [size[::-1] for size in sizes[::5]]  # one in five stands upright
        return recipe_settings(precision, detector), sizes
    settings = recipe_settings(precision, detector, "squeezenet-voc07-subset")
    places = rng.choice(120 * 120, images, replace=False)
    sizes = [(80 + int(place) // 120, 80 + int(place) % 120) for place in places]
    return dataclasses.replace(settings, **SMALL), sizes


def watch(
    detector: str = "fast_rcnn",
    precision: str = "float32",
    vgg16: bool = False,
    images: int = 100,
    steps: int = 1000,
    every: int = EVERY,
) -> str:
    """Train and report the memory in a Markdown table and a sentence.

    Args:
        detector, precision, vgg16, images: as for `settings_and_sizes`.
        steps: of the training.
        every: so many steps are a row of the table.
    """
    settings, sizes = settings_and_sizes(detector, precision, vgg16, images)
    with tempfile.TemporaryDirectory() as folder:
        source = workload(Path(folder), sizes)
        settings = dataclasses.replace(settings, class_names=source.dataset.class_names)
        model = build_and_compile(source, settings)
        freeze(model, settings)
        batches = batches_for(model, source, TRUNKS[settings.trunk].pixel_means, settings)
        callback = Watch(every)
        model.fit(batches, shuffle=False, steps_per_epoch=steps, verbose=0, callbacks=[callback])
    rows = callback.rows
    lines = [["step", "resident memory (MB)", "traces"]]
    lines += [[str(step), f"{memory / 1e6:.1f}", str(traces)] for step, memory, traces in rows]
    growth = rows[-1][1] / rows[0][1] - 1
    return (
        f"{detector} with {settings.trunk}:\n\n{markdown(lines)}\n"
        f"From step {rows[0][0]} to {rows[-1][0]} the resident memory grew by {growth:.2%},"
        f" with {rows[-1][2] - rows[0][2]} new traces, on {images} images of different sizes at"
        f" {len(settings.min_side)} scales.\n"
    )
