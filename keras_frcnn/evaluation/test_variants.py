"""What choices at test time are worth: accuracy and time of a detector under each of them."""

import dataclasses
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.test_time import TestOptions, with_options
from keras_frcnn.evaluation.coco import evaluate_coco
from keras_frcnn.evaluation.evaluate import check_fit
from keras_frcnn.evaluation.tables import Row
from keras_frcnn.evaluation.voc import evaluate
from keras_frcnn.models.heads import has_masks
from keras_frcnn.progress_bar import counted

PLAIN = "as trained"
_COUNTS = (50, 100, 300, 1000)  # of proposals
_SCALES = (0.8, 1.0, 1.25)  # of the shorter side that the detector has


@dataclass(frozen=True)
class Variant:
    """A way to test: options, and how many proposals of an image, None for all there are."""

    options: TestOptions = field(default_factory=TestOptions)
    proposals: int | None = None


def variants_of(detector: Detector, most_proposals: int) -> dict[str, Variant]:
    """The variants that are compared, by name; the first is the detector as it is.

    Args:
        detector: its shorter side is that which the scales are of.
        most_proposals: that an image has; numbers below are tried.
    """
    scales = tuple(round(detector.min_side * scale) for scale in _SCALES)
    named = ", ".join(map(str, scales))
    suppressed = {
        f"suppression from IoU {x}": Variant(TestOptions(nms_iou=x)) for x in (0.2, 0.4, 0.5)
    }
    numbers = {f"{n} proposals": Variant(proposals=n) for n in _COUNTS if n < most_proposals}
    if has_masks(detector.kind):  # which refuses the others (`with_options`)
        return {PLAIN: Variant(), **numbers, **suppressed}
    return {
        PLAIN: Variant(),
        **numbers,
        "mirrored too": Variant(TestOptions(flip=True)),
        f"scales {named}": Variant(TestOptions(scales=scales)),
        f"scales {named}, mirrored too": Variant(TestOptions(scales=scales, flip=True)),
        **suppressed,
        "soft suppression, sigma 0.5": Variant(TestOptions(soft_nms=0.5)),
        "without box regression": Variant(TestOptions(box_regression=False)),
    }


def compare_variants(
    detector: Detector,
    images: ImageSet,
    variants: Mapping[str, Variant],
    metric: str = "area",
) -> list[Row]:
    """Test every variant on the same images, one image after the other.

    Args:
        detector: a detector without options of its own.
        images: to test on, with proposals if the detector needs them.
        variants: by name; times are told beside those of the first.
        metric: of `voc.evaluate`.

    Returns:
        a row each: name, mAP of VOC, AP of COCO, median seconds of an image in memory and that
        beside the first variant's; the first image, for which functions are traced, is not timed.

    Raises:
        InputError: the data set does not fit the detector.
    """
    check_fit(detector, images)
    functions = {name: _function(detector, variant) for name, variant in variants.items()}
    found: dict[str, list[Detections]] = {name: [] for name in variants}
    times: dict[str, list[float]] = {name: [] for name in variants}
    records = images.dataset.images
    for i in counted(range(len(records)), len(records), "variants"):
        image = read_image(records[i].path, records[i].orientation)
        proposals = images.proposals[i] if detector.needs_proposals else None
        for name, function in functions.items():
            begun = time.perf_counter()
            found[name].append(function(image, proposals))
            times[name].append(time.perf_counter() - begun)
    seconds = {name: statistics.median(of[1:] or of) for name, of in times.items() if of}
    first = next(iter(seconds.values()), float("nan"))
    return [
        {
            "test": name,
            "mAP (VOC)": evaluate(found[name], images.dataset, metric).mean_ap,
            "AP (COCO)": evaluate_coco(found[name], images.dataset).mean_ap,
            "ms an image": f"{1000 * seconds.get(name, float('nan')):.1f}",
            "times as long": f"{seconds.get(name, float('nan')) / first:.2f}",
        }
        for name in variants
    ]


def _function(detector: Detector, variant: Variant):
    """Detections of an image and its proposals, None where the detector makes them."""
    count = variant.proposals
    if not detector.needs_proposals:
        if count is not None:
            detector = _with_proposals(detector, count)
        proposing = with_options(detector, variant.options)
        return lambda image, _: proposing.detect(image)
    tested = with_options(detector, variant.options)
    return lambda image, proposals: tested.detect(image, np.asarray(proposals)[:count])


def _with_proposals(detector: Detector, count: int) -> Detector:
    """The detector with so many proposals of its own."""
    options = dataclasses.replace(detector.options, test=count)
    return type(detector)(detector.model, **detector.settings() | {"options": options})
