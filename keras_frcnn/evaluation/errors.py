"""Why detections are wrong and objects are missed, in the way of TIDE.

Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", section 2.
Shape letters: D detections and M objects of an image, K object classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import Dataset, ImageSet
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import check_detections, match
from keras_frcnn.numpy_boxes import pairwise_iou

# The first five are of detections, the last of objects.
KINDS = ("class", "localisation", "both", "duplicate", "background", "missed")
RIGHT, IGNORED = -1, -2  # of detections that are no error


@dataclass(frozen=True, eq=False)
class Errors:
    """What is wrong with the detections of each image, and which objects are missed."""

    iou_threshold: float
    background_iou: float
    # One array an image:
    kinds: list[np.ndarray]  # int8 [D]: a place in `KINDS`, `RIGHT` or `IGNORED`
    objects: list[np.ndarray]  # int64 [D]: the object that explains it, -1 where there is none
    overlaps: list[np.ndarray]  # float64 [D]: its IoU with it
    is_found: list[np.ndarray]  # bool [M]
    is_missed: list[np.ndarray]  # bool [M]: errors of the last kind
    is_unreached: list[np.ndarray] | None  # bool [M]: missed, and no proposal was near

    def counts(self) -> dict[str, int]:
        """How many errors there are of each kind."""
        found = np.concatenate([np.zeros(0, int), *self.kinds])
        counts = {kind: int(np.sum(found == i)) for i, kind in enumerate(KINDS[:-1])}
        return counts | {KINDS[-1]: sum(int(m.sum()) for m in self.is_missed)}

    def count_unreached(self) -> int | None:
        """How many of the missed objects no proposal was near to; None where none are known."""
        if self.is_unreached is None:
            return None
        return sum(int(of_image.sum()) for of_image in self.is_unreached)

    def class_counts(
        self, detections: Sequence[Detections], dataset: Dataset
    ) -> dict[str, np.ndarray]:
        """The same for each class, int64 [K]; a wrong detection is one of the class it names."""
        size = len(dataset.class_names) + 1

        def count(classes: list[np.ndarray], chosen: list[np.ndarray]) -> np.ndarray:
            pairs = zip(classes, chosen, strict=True)
            labels = np.concatenate([np.zeros(0, int), *(k[c] for k, c in pairs)])
            return np.bincount(labels, minlength=size)[1:]

        named = [d.classes for d in detections]
        counts = {
            kind: count(named, [found == i for found in self.kinds])
            for i, kind in enumerate(KINDS[:-1])
        }
        labels = [record.labels for record in dataset.images]
        return counts | {KINDS[-1]: count(labels, self.is_missed)}


def find_errors(
    detections: Sequence[Detections],
    images: ImageSet,
    iou_threshold: float = 0.5,
    background_iou: float = 0.1,
) -> Errors:
    """Say of every detection what is wrong with it, and which objects are missed.

    A detection is right as `voc.evaluate` has it. A wrong one is, by the first that holds,

        localisation  its IoU with an object of its class is from `background_iou` to
                      `iou_threshold`;
        class         its IoU with an object of another class is above `iou_threshold`;
        duplicate     its object was found by a detection with a higher score;
        background    its IoU with every object is at most `background_iou`;
        both          otherwise: it lies badly on an object of another class.

    An object is missed if no detection found it and none would if its class or place were mended.
    This is TIDE's order and definition; as in VOC, and unlike there, the IoU must be above the
    threshold. Difficult objects explain nothing and are not missed.

    Args:
        detections: one `Detections` an image.
        images: the ground truth; with proposals, objects that no proposal overlaps by more than
            `iou_threshold` are told apart.
        iou_threshold: 0.5 in the paper.
        background_iou: 0.1 in the paper.

    Raises:
        InputError: the detections do not fit the data set, or the thresholds are not in order.
    """
    if not 0 < background_iou <= iou_threshold < 1:
        raise InputError(
            f"background_iou {background_iou:g} and iou_threshold {iou_threshold:g} must be in "
            "this order, above 0 and below 1"
        )
    dataset = images.dataset
    check_detections(detections, dataset)
    matches = match(detections, dataset, iou_threshold)
    ends = np.cumsum([len(d) for d in detections])[:-1]
    firsts = np.cumsum([0, *(len(record.labels) for record in dataset.images)])
    limits = (background_iou, iou_threshold)
    errors = Errors(*limits[::-1], [], [], [], [], [], None if images.proposals is None else [])
    parts = (np.split(a, ends) for a in (matches.objects, matches.is_right, matches.is_ignored))
    for i, (matched, is_right, is_ignored) in enumerate(zip(*parts, strict=True)):
        if i == len(dataset.images):  # `np.split` gives one part of nothing
            break
        record, found = dataset.images[i], detections[i]
        matched = np.where(matched >= 0, matched - firsts[i], -1)
        is_found = np.zeros(len(record.labels), bool)
        is_found[matched[is_right]] = True
        iou = pairwise_iou(found.boxes, record.boxes)
        explaining = np.where(record.is_difficult, 0.0, iou)
        kinds, objects = _explain(explaining, found.classes, record.labels, matched, limits)
        kinds[is_right], objects[is_right] = RIGHT, matched[is_right]
        kinds[is_ignored], objects[is_ignored] = IGNORED, matched[is_ignored]
        mendable = np.isin(kinds, (KINDS.index("class"), KINDS.index("localisation")))
        is_missed = ~is_found & ~record.is_difficult
        is_missed[objects[mendable]] = False
        errors.kinds.append(kinds)
        errors.objects.append(objects)
        has_object = objects >= 0
        overlaps = np.zeros(len(found))
        overlaps[has_object] = iou[np.flatnonzero(has_object), objects[has_object]]
        errors.overlaps.append(overlaps)
        errors.is_found.append(is_found)
        errors.is_missed.append(is_missed)
        if images.proposals is not None:
            near = pairwise_iou(record.boxes, images.proposals[i]) > iou_threshold
            errors.is_unreached.append(is_missed & ~near.any(axis=1))
    return errors


def _explain(
    iou: np.ndarray,
    classes: np.ndarray,
    labels: np.ndarray,
    matched: np.ndarray,
    limits: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Kind and object of each detection, as if all were wrong.

    Args:
        iou: [D, M].
        classes: [D], of the detections.
        labels: [M], of the objects.
        matched: [D], the object that each would have found, -1 for none.
        limits: IoU of background, and of what is right.
    """
    background, threshold = limits
    kinds = np.full(len(iou), KINDS.index("background"), np.int8)
    objects = np.full(len(iou), -1)
    if not iou.shape[1]:
        return kinds, objects
    is_own = classes[:, None] == labels[None, :]
    own, other = np.where(is_own, iou, -1), np.where(is_own, -1, iou)
    best = iou.max(axis=1)
    # From the last rule to the first, each over what the earlier have said.
    for kind, holds, explained in (
        ("both", best > background, iou.argmax(axis=1)),
        ("duplicate", matched >= 0, matched),
        ("class", other.max(axis=1) > threshold, other.argmax(axis=1)),
        (
            "localisation",
            (own.max(axis=1) >= background) & (own.max(axis=1) <= threshold),
            own.argmax(axis=1),
        ),
    ):
        kinds[holds] = KINDS.index(kind)
        objects[holds] = explained[holds]
    return kinds, objects
