"""Time and memory of evaluating a run on many images: `keras-frcnn bench evaluate`.

The images of a data set are taken again and again until there are enough. First the detector alone
is timed, on images in memory; then the same images are read, detected and evaluated by the rules
of VOC and of COCO, and the resident memory is noted on the way. See docs/evaluation.md.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Iterable

from keras_frcnn.benchmarks.memory import resident_memory
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.data.load import load
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.evaluation.coco import evaluate_coco
from keras_frcnn.evaluation.evaluate import detect_all
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.proposals.find import proposals_of
from keras_frcnn.runs.directory import load_detector

AIM = 1.1  # times the number of images x the time of a detection
NOTES = 10  # of the memory


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench evaluate", description=__doc__)
    parser.add_argument("--run", required=True, help="run directory of a training")
    parser.add_argument("--data", required=True, help="data set to take images from")
    parser.add_argument("--split", help="its split")
    parser.add_argument("--images", type=int, default=5000, help="how many (%(default)s)")
    args = parser.parse_args(argv)
    detector, settings = load_detector(args.run)
    dataset = repeated(load(args.data, args.split, settings.class_names), args.images)
    images = ImageSet(dataset)
    if detector.needs_proposals:
        images = proposals_of(dataset, settings, None)
    print(describe(args.images, *measure(detector, images)))
    return 0


def repeated(dataset: Dataset, count: int) -> Dataset:
    """The data set with so many images: its own again and again, under names of their own."""
    records = dataset.images
    chosen = (
        dataclasses.replace(records[i % len(records)], filename=f"{i}", coco_id=None)
        for i in range(count)
    )
    return dataclasses.replace(dataset, images=tuple(chosen))


def measure(detector: Detector, images: ImageSet) -> tuple[float, float, float, list[int]]:
    """Evaluate the images, and time the detector beside it.

    Returns:
        mean seconds of a detection, seconds of detecting all, seconds of evaluating what was
        found, and bytes of resident memory at `NOTES` moments of it and at the end.
    """
    count = len(images.dataset.images)
    alone = _mean(detector, images)
    memory: list[int] = []
    begun = time.perf_counter()
    found = list(_watched(detect_all(detector, images, keep_bar=False), count, memory))
    middle = time.perf_counter()
    evaluate(found, images.dataset)
    evaluate_coco(found, images.dataset)
    memory.append(resident_memory())
    return alone, middle - begun, time.perf_counter() - middle, memory


def describe(
    images: int, alone: float, detecting: float, evaluating: float, memory: list[int]
) -> str:
    """The numbers as a table and sentences."""
    shares = [f"{i / (len(memory) - 1):.0%}" for i in range(1, len(memory))]
    rows = [["of the images", *shares, "evaluated"]]
    ratio = (detecting + evaluating) / (images * alone)
    rows.append(["resident memory (MB)", *(f"{m / 1e6:.0f}" for m in memory)])
    return (
        f"{markdown(rows)}\n\nA detection alone: {1000 * alone:.1f} ms. Reading and detecting all "
        f"{images} images: {detecting:.1f} s, evaluating what was found: {evaluating:.1f} s; "
        f"together {ratio:.2f} times the detections alone (aim: at most {AIM})."
    )


def _mean(detector: Detector, images: ImageSet, count: int = 500) -> float:
    """Seconds of a detection on an image in memory; the first, which traces, is left out."""
    times = []
    records = images.dataset.images[: count + 1]
    for i, record in enumerate(records):
        image = read_image(record.path, record.orientation)
        given = (images.proposals[i],) if detector.needs_proposals else ()
        begun = time.perf_counter()
        detector.detect(image, *given)
        times.append(time.perf_counter() - begun)
    return statistics.fmean(times[1:] or times)


def _watched(found: Iterable[Detections], count: int, memory: list[int]) -> Iterable[Detections]:
    """Pass detections on, and note the memory at `NOTES` moments."""
    for i, detections in enumerate(found, start=1):
        yield detections
        if i * NOTES // count > (i - 1) * NOTES // count:
            memory.append(resident_memory())
