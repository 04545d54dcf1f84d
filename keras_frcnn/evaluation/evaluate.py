"""Running a detector over a data set, and what is kept of its evaluation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.evaluation.voc import Evaluation, evaluate
from keras_frcnn.files import write_json
from keras_frcnn.progress_bar import counted


def detect_all(detector: Detector, images: ImageSet, keep_bar: bool = True) -> Iterator[Detections]:
    """The detections in each image of a data set, from its proposals or the detector's own."""
    return (found for found, _ in examine_all(detector, images, keep_bar))


def examine_all(
    detector: Detector, images: ImageSet, keep_bar: bool = True
) -> Iterator[tuple[Detections, np.ndarray]]:
    """The detections in each image of a data set, and the proposals that they came from.

    These are the data set's, or the detector's own where it makes them.
    """
    records = images.dataset.images
    if not detector.needs_proposals:
        for record in counted(records, len(records), "detecting", leave=keep_bar):
            yield detector.examine(read_image(record.path, record.orientation))
        return
    pairs = list(zip(records, images.proposals, strict=True))
    for record, proposals in counted(pairs, len(pairs), "detecting", leave=keep_bar):
        image = read_image(record.path, record.orientation)
        yield detector.detect(image, proposals), proposals


def evaluate_detector(
    detector: Detector, images: ImageSet, metric: str = "area"
) -> tuple[list[Detections], Evaluation]:
    """Run a detector over a data set and evaluate it by `metric` (`voc.evaluate`).

    Raises:
        InputError: the classes of the data set are not those that the detector knows, or it needs
            proposals and has none, or the other way round.
    """
    images.check_proposals(detector.needs_proposals, "the detector")
    if detector.class_names:
        check_class_names(detector.class_names, images.dataset, "the detector")
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


def save_metrics(run: Path, dataset: Dataset, result: Evaluation) -> None:
    """Write `metrics.json`."""
    content = {
        "data": dataset.name,
        "metric": result.metric,
        "mAP": known(result.mean_ap),
        "AP": dict(zip(dataset.class_names, map(known, result.ap), strict=True)),
    }
    write_json(run / "metrics.json", content)


def known(ap: float) -> float | None:
    """None, null in JSON, for the AP of a class without objects: JSON has no NaN."""
    return None if np.isnan(ap) else float(ap)
