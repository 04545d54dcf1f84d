"""How a training starts on a data set that does not fit into memory: `bench large-data`.

As many records as COCO has, with made-up objects and proposals, all of one photograph. The
proposals are packed as after a search; then what `train` does before its first mini-batch is timed
and the resident memory noted: a first start, which takes the statistics of the regression targets,
and a second one, which reads them. See docs/scaling.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.batches.target_statistics import cached_target_statistics
from keras_frcnn.benchmarks.memory import peak_memory, resident_memory
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.train_workload import VOC_SIZE, photograph
from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.proposals.packed import digest_of, kept
from keras_frcnn.proposals.recall import total_recall
from keras_frcnn.runs.fingerprint import fingerprint, save_fingerprint
from keras_frcnn.settings import Settings

COCO = 118_287  # images of train2017
CLASSES = 80
OBJECTS = 7
BATCHES = 50
READS = 1000
MEANS = (103.939, 116.779, 123.68)


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench large-data", description=__doc__)
    parser.add_argument("--images", type=int, default=COCO, help="records (%(default)s)")
    parser.add_argument("--proposals", type=int, default=2000, help="of an image (%(default)s)")
    parser.add_argument("--folder", help="for the files, 2 GB by default (the system's temporary)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        os.environ["KERAS_FRCNN_CACHE"] = folder
        print(measure(Path(folder), args.images, args.proposals))
    return 0


def measure(folder: Path, images: int, proposals: int) -> str:
    """Time the parts of two starts; a table and a sentence.

    Args:
        folder: for the photograph and the run; the cache folder's place is the caller's.
        images, proposals: how many records, and proposals of each.
    """
    rows = [["part", "seconds", "resident memory (MB)", "its peak so far (MB)"]]

    def timed(name: str, part: Callable):
        begun = time.perf_counter()
        value = part()
        seconds = time.perf_counter() - begun
        rows.append([name, f"{seconds:.1f}", *_megabytes(resident_memory(), peak_memory())])
        return seconds, value

    timed("nothing yet", lambda: None)
    _, dataset = timed("records made", lambda: records(folder, images))
    digest = digest_of([f"made up {proposals}"])
    _, boxes = timed(
        "proposals packed", lambda: kept(digest, images, lambda: made_up(images, proposals))
    )

    def start() -> Iterator:
        data = ImageSet(dataset, boxes)
        save_fingerprint(folder, fingerprint(data))
        cached_target_statistics(data)
        total_recall(data.sample())
        batches = iter(training_dataset(data, MEANS, Settings()))
        next(batches)
        return batches

    first, _ = timed("first start, to its first mini-batch", start)
    second, batches = timed("second start", start)
    decoding, _ = timed(f"{BATCHES} mini-batches", lambda: [next(batches) for _ in range(BATCHES)])
    places = np.random.default_rng(0).integers(0, images, READS)
    begun = time.perf_counter()
    for i in places:
        boxes[i]
    read = (time.perf_counter() - begun) / READS
    return (
        f"{images} records, {proposals} proposals each:\n\n{markdown(rows)}\n"
        f"A first start took {first:.0f} s, a second one {second:.0f} s. Reading the proposals of "
        f"an image takes {1e6 * read:.0f} microseconds, a mini-batch of two images "
        f"{1e3 * decoding / BATCHES:.0f} ms: {2 * read * BATCHES / decoding:.2%} of the pipeline.\n"
    )


def records(folder: Path, count: int) -> Dataset:
    """So many images, each with objects of its own, all in one file in `folder`."""
    rng = np.random.default_rng(0)
    height, width = VOC_SIZE
    path = folder / "photograph.jpg"
    Image.fromarray(photograph(rng, height, width)).save(path, quality=85)
    return Dataset(
        "made up for the benchmark",
        tuple(f"class {k}" for k in range(1, CLASSES + 1)),
        tuple(
            ImageRecord(
                f"{i}.jpg",
                str(path),
                height,
                width,
                boxes=whole_boxes(rng, OBJECTS),
                labels=rng.integers(1, CLASSES + 1, OBJECTS).astype(np.int32),
                is_difficult=np.zeros(OBJECTS, bool),
            )
            for i in range(count)
        ),
    )


def made_up(images: int, count: int) -> Iterator[np.ndarray]:
    """So many proposals of each image, whole numbers as selective search gives them."""
    rng = np.random.default_rng(1)
    for _ in range(images):
        yield whole_boxes(rng, count)


def whole_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes inside a photograph of VOC's usual size: float32 [count, 4]."""
    height, width = VOC_SIZE
    x, y = rng.integers(0, width, (count, 2)), rng.integers(0, height, (count, 2))
    x, y = np.sort(x, axis=1), np.sort(y, axis=1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1] + 1, y[:, 1] + 1], axis=1).astype(np.float32)


def _megabytes(*values: int) -> list[str]:
    return [f"{value / 1e6:.0f}" for value in values]
