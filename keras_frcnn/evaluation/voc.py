"""Average precision by the rules of the Pascal VOC devkit.

D is the number of detections of an image, M that of its ground-truth boxes, K that of classes.

The devkit counts pixels from 1 and both ends of a box as inside. In its coordinates a box of ours
is (x1 + 1, y1 + 1, x2, y2), and its widths (xmax - xmin + 1) are our x2 - x1: the IoU below is
the devkit's without further ado.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.numpy_boxes import pairwise_iou

METRICS = ("area", "11point")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Average precision of every class; NaN for a class without (non-difficult) objects."""

    metric: str  # "area" or "11point"
    iou_threshold: float
    class_names: tuple[str, ...]
    ap: np.ndarray  # float64 [K]
    positives: np.ndarray  # int64 [K], objects that are not difficult
    # For each class, after each of its detections from the highest score down:
    precision: tuple[np.ndarray, ...]
    recall: tuple[np.ndarray, ...]

    @property
    def mean_ap(self) -> float:
        """The mean over the classes that have objects; NaN where none has."""
        known = self.ap[self.positives > 0]
        return float(known.mean()) if len(known) else float("nan")


def evaluate(
    detections: Sequence[Detections],
    dataset: Dataset,
    metric: str = "area",
    iou_threshold: float = 0.5,
) -> Evaluation:
    """Evaluate the detections of all images of a data set, in its order.

    Detections are taken by descending score, ties in the order of the images and of the
    detections in them. Each goes to the object of its class that it overlaps most, and is right
    if the IoU is above `iou_threshold` and the object was not taken before; a match with a
    difficult object counts neither way. (The challenge asks for more than 50%, as the Fast R-CNN
    code does; the devkit's own MATLAB code also takes exactly 50%.)

    Args:
        detections: one `Detections` an image.
        dataset: the ground truth.
        metric: "area", under the interpolated precision-recall curve (VOC 2010 and later), or
            "11point", the mean of the interpolated precision at recall 0, 0.1, ... 1 (VOC 2007).
        iou_threshold: between 0 and 1.

    Raises:
        InputError: an unknown metric, a number of detections that does not fit the data set, a
            class outside 1..K, or values that are not finite.
    """
    if metric not in METRICS:
        raise InputError(f"metric is {metric!r}; there are {' and '.join(map(repr, METRICS))}")
    if not 0 <= iou_threshold < 1:
        raise InputError(f"iou_threshold is {iou_threshold}; it must be at least 0 and below 1")
    check_detections(detections, dataset)
    classes, scores = joined(detections)
    matches = match(detections, dataset, iou_threshold)
    labels = np.concatenate([np.zeros(0, int), *(r.labels for r in dataset.images)])
    difficult = np.concatenate([np.zeros(0, bool), *(r.is_difficult for r in dataset.images)])

    aps, positives, precisions, recalls = [], [], [], []
    for k in range(1, len(dataset.class_names) + 1):
        of_class = np.flatnonzero((classes == k) & ~matches.is_ignored)
        by_score = of_class[np.argsort(-scores[of_class], kind="stable")]
        count = int(np.sum((labels == k) & ~difficult))
        precision, recall = precision_recall(matches.is_right[by_score], count)
        aps.append(average_precision(precision, recall, metric) if count else np.nan)
        positives.append(count)
        precisions.append(precision)
        recalls.append(recall)
    return Evaluation(
        metric,
        iou_threshold,
        dataset.class_names,
        np.array(aps, float),
        np.array(positives, int),
        tuple(precisions),
        tuple(recalls),
    )


def check_detections(detections: Sequence[Detections], dataset: Dataset) -> None:
    """Refuse detections that cannot be of the images of a data set.

    Raises:
        InputError: there are not as many as images, a class is outside 1..K, or values are not
            finite.
    """
    if len(detections) != len(dataset.images):
        raise InputError(
            f"there are detections of {len(detections)} images, but {dataset.name} has "
            f"{len(dataset.images)}"
        )
    known = len(dataset.class_names)
    for record, found in zip(dataset.images, detections, strict=True):
        if not ((found.classes >= 1) & (found.classes <= known)).all():
            raise InputError(
                f"detections of {record.filename} have classes outside 1..{known}; "
                "were they made for other classes?"
            )
        if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
            raise InputError(f"detections of {record.filename} have values that are not finite")


def joined(detections: Sequence[Detections]) -> tuple[np.ndarray, np.ndarray]:
    """Classes and scores of the detections of all images, one after the other."""
    classes = np.concatenate([np.zeros(0, int), *(d.classes for d in detections)])
    return classes, np.concatenate([np.zeros(0), *(d.scores for d in detections)])


@dataclass(frozen=True, eq=False)
class Matches:
    """What the detections of all images, one after the other, found: D in all."""

    objects: np.ndarray  # int64 [D]: the object's place among those of all images, -1 for none
    is_right: np.ndarray  # bool [D]: the first of its object
    is_ignored: np.ndarray  # bool [D]: of a difficult object


def match(
    detections: Sequence[Detections], dataset: Dataset, iou_threshold: float = 0.5
) -> Matches:
    """Which detections are right; the arguments are those of `evaluate`, and checked there."""
    matches, first = [np.zeros(0, int)], 0
    for record, found in zip(dataset.images, detections, strict=True):
        if len(record.boxes):
            iou = pairwise_iou(found.boxes, record.boxes)
            iou[found.classes[:, None] != record.labels[None, :]] = -1
            best = np.argmax(iou, axis=1)  # the first of equals, as in the devkit
            high = iou[np.arange(len(iou)), best] > iou_threshold
            matches.append(np.where(high, first + best, -1))
        else:
            matches.append(np.full(len(found), -1))
        first += len(record.boxes)
    objects = np.concatenate(matches)
    difficult = np.concatenate([np.zeros(0, bool), *(r.is_difficult for r in dataset.images)])
    is_ignored = np.append(difficult, False)[objects]  # -1 is the last
    by_score = np.argsort(-joined(detections)[1], kind="stable")
    taken, first_taker = np.unique(objects[by_score], return_index=True)
    is_right = np.zeros(len(objects), bool)
    is_right[by_score[first_taker[taken >= 0]]] = True  # later detections of an object are wrong
    return Matches(objects, is_right & ~is_ignored, is_ignored)


def precision_recall(is_right: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall after each detection of a class, best score first; NaN without objects.

    Args:
        is_right: bool [D].
        positives: how many objects there are to find.
    """
    true_positives = np.cumsum(is_right)
    precision = true_positives / np.arange(1, len(is_right) + 1)
    recall = true_positives / positives if positives else np.full(len(is_right), np.nan)
    return precision, recall


def average_precision(precision: np.ndarray, recall: np.ndarray, metric: str) -> float:
    """AP of a class by `metric`, from `precision_recall`."""
    return (_area_ap if metric == "area" else _eleven_point_ap)(precision, recall)


def _area_ap(precision, recall):
    # What is interpolated is the highest precision at this or any higher recall.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * envelope))


def _eleven_point_ap(precision, recall):
    # i / 10 and true positives / positives are both correctly rounded, so equals compare equal.
    at = (precision[recall >= i / 10] for i in range(11))
    return float(np.mean([reached.max(initial=0) for reached in at]))


def format_table(evaluation: Evaluation) -> str:
    """The evaluation as lines of text: AP and number of objects of each class, and the mean."""
    names = [*evaluation.class_names, "mAP"]
    counts = [*evaluation.positives.tolist(), int(evaluation.positives.sum())]
    width = max(len("class"), *map(len, names))
    lines = [f"{'class':{width}}      AP  objects"]
    for name, ap, count in zip(names, [*evaluation.ap, evaluation.mean_ap], counts, strict=True):
        lines.append(f"{name:{width}}  {'-' if np.isnan(ap) else f'{ap:.4f}':>6}  {count:7d}")
    lines.insert(-1, "-" * len(lines[0]))
    how = {"area": "area under the curve", "11point": "11 points"}[evaluation.metric]
    lines.append(f"AP: {how}, IoU above {evaluation.iou_threshold:g}, difficult objects left out")
    if absent := int(np.sum(evaluation.positives == 0)):
        verb, pronoun = ("has", "it") if absent == 1 else ("have", "them")
        lines.append(
            f"{absent} of {len(evaluation.ap)} classes {verb} no objects; "
            f"the mAP leaves {pronoun} out"
        )
    return "\n".join(lines)
