"""What the mAP would gain if all errors of a kind were mended.

Bolya et al. 2020 (TIDE), section 2.3. Shape letter: K object classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.errors import IGNORED, KINDS, RIGHT, Errors
from keras_frcnn.evaluation.voc import average_precision, joined, precision_recall


@dataclass(frozen=True, eq=False)
class Gains:
    """AP of each class as it is, and what it gains by each kind alone; NaN without objects."""

    ap: np.ndarray  # float64 [K]
    classes: dict[str, np.ndarray]  # float64 [K], by kind

    @property
    def mean_ap(self) -> float:
        """The mAP as it is."""
        return _mean(self.ap)

    @property
    def mean(self) -> dict[str, float]:
        """The gain in mAP, by kind."""
        return {kind: _mean(gain) for kind, gain in self.classes.items()}


def error_gains(
    errors: Errors,
    detections: Sequence[Detections],
    dataset: Dataset,
    metric: str = "area",
) -> Gains:
    """Mend one kind after the other, each from the detections as they are.

    A detection of the wrong class gets the right one, one that lies badly the object's box; of
    several that would then have found the same object the best counts and the others go, and so
    do all whose object was found already. Detections of the kinds both, duplicate and background
    go. Missed objects are no longer counted. Gains of several kinds do not add up.

    Args:
        errors: of `find_errors`, of these detections.
        metric: "area" or "11point", as of `voc.evaluate`.
    """
    classes, scores = joined(detections)
    kinds = np.concatenate([np.zeros(0, int), *errors.kinds])
    objects, labels, is_found, is_missed = _objects(errors, dataset)
    difficult = np.concatenate([np.zeros(0, bool), *(r.is_difficult for r in dataset.images)])
    size = len(dataset.class_names) + 1
    positives = np.bincount(labels[~difficult], minlength=size)
    is_right = kinds == RIGHT
    counted = kinds != IGNORED

    def ap_of(k, named, right, chosen, counts) -> float:
        if not positives[k]:
            return np.nan
        of_class = np.flatnonzero(chosen & (named == k))
        by_score = of_class[np.argsort(-scores[of_class], kind="stable")]
        if not counts[k]:  # all of them were missed
            return 0.0
        return average_precision(*precision_recall(right[by_score], counts[k]), metric)

    def ap(named, right, chosen, counts) -> np.ndarray:
        return np.array([ap_of(k, named, right, chosen, counts) for k in range(1, size)], float)

    base = ap(classes, is_right, counted, positives)
    gains = {}
    for number, kind in enumerate(KINDS):
        named, right, chosen, counts = classes.copy(), is_right.copy(), counted.copy(), positives
        wrong = kinds == number
        chosen &= ~wrong
        if kind in ("class", "localisation"):
            mended = _mended(wrong, objects, is_found, scores)
            named[mended] = labels[objects[mended]]
            right[mended] = chosen[mended] = True
        elif kind == "missed":
            counts = positives - np.bincount(labels[is_missed], minlength=size)
        gains[kind] = ap(named, right, chosen, counts) - base
    return Gains(base, gains)


def _objects(errors: Errors, dataset: Dataset) -> tuple[np.ndarray, ...]:
    """Of all images: the object of each detection, and label and state of each object."""
    firsts = np.cumsum([0, *(len(record.labels) for record in dataset.images)])
    objects = [
        np.where(of_image >= 0, of_image + first, -1)
        for of_image, first in zip(errors.objects, firsts[:-1], strict=True)
    ]
    return (
        np.concatenate([np.zeros(0, int), *objects]),
        np.concatenate([np.zeros(0, int), *(record.labels for record in dataset.images)]),
        np.concatenate([np.zeros(0, bool), *errors.is_found]),
        np.concatenate([np.zeros(0, bool), *errors.is_missed]),
    )


def _mended(
    wrong: np.ndarray, objects: np.ndarray, is_found: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Places of those wrong detections that are the best of an object that nobody found."""
    places = np.flatnonzero(wrong)
    places = places[~is_found[objects[places]]]
    places = places[np.argsort(-scores[places], kind="stable")]
    _, first = np.unique(objects[places], return_index=True)
    return places[first]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
