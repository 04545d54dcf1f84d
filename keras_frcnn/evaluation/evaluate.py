"""Running a detector over a data set."""

from collections.abc import Iterator, Sequence

import numpy as np

from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.evaluation.stopwatch import Stopwatch
from keras_frcnn.evaluation.voc import Evaluation, evaluate
from keras_frcnn.progress_bar import counted


def detect_all(detector: Detector, images: ImageSet, keep_bar: bool = True) -> Iterator[Detections]:
    """The detections in each image of a data set, from its proposals or the detector's own."""
    return (found for found, _ in examine_all(detector, images, keep_bar))


def examine_all(
    detector: Detector,
    images: ImageSet,
    keep_bar: bool = True,
    watch: Stopwatch | None = None,
) -> Iterator[tuple[Detections, np.ndarray]]:
    """The detections in each image of a data set, and the proposals that they came from.

    These are the data set's, or the detector's own where it makes them. `watch` is told how long
    reading and detection take.
    """
    records, watch = images.dataset.images, watch or Stopwatch()
    for place in counted(range(len(records)), len(records), "detecting", leave=keep_bar):
        watch.begin()
        with watch.stage("reading"):
            image = read_image(records[place].path, records[place].orientation)
        with watch.stage("detection"):
            if detector.needs_proposals:
                proposals = images.proposals[place]
                found = detector.detect(image, proposals)
            else:
                found, proposals = detector.examine(image)
        watch.end()
        yield found, proposals


def check_fit(detector: Detector, images: ImageSet) -> None:
    """Refuse a data set that the detector cannot be tested on; raises as `evaluate_detector`."""
    images.check_proposals(detector.needs_proposals, "the detector")
    if detector.class_names:
        check_class_names(detector.class_names, images.dataset, "the detector")


def evaluate_detector(
    detector: Detector, images: ImageSet, metric: str = "area"
) -> tuple[list[Detections], Evaluation]:
    """Run a detector over a data set and evaluate it by `metric` (`voc.evaluate`).

    Raises:
        InputError: the classes of the data set are not those that the detector knows, or it needs
            proposals and has none, or the other way round.
    """
    check_fit(detector, images)
    detections = list(detect_all(detector, images))
    return detections, evaluate(detections, images.dataset, metric)


def describe_limit(detections: Sequence[Detections], limit: int) -> str:
    """A line that says how many images have as many detections as one may have; "" if none has.

    What such an image has beyond them is not found, which lowers its recall.
    """
    count = sum(len(found) >= limit for found in detections)
    if not count:
        return ""
    return (
        f"{count} of {len(detections)} images have {limit} detections, the most there may be; "
        "--max-detections allows more"
    )
