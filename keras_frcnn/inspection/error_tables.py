"""Errors of each kind and class as tables."""

from collections.abc import Sequence

import numpy as np

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.detection.detections import Detections
from keras_frcnn.evaluation.error_gains import Gains
from keras_frcnn.evaluation.errors import KINDS, Errors
from keras_frcnn.evaluation.tables import Row

UNREACHED = "no proposal"


def error_rows(errors: Errors, gains: Gains) -> list[Row]:
    """A row a kind: how many there are, and what the mAP gains without them.

    Below `missed` are those of them that no proposal reached, where proposals are known.
    """
    mean, counts = gains.mean, errors.counts()
    rows: list[Row] = [
        {"error": kind, "count": counts[kind], "mAP gains": _text(mean[kind])} for kind in KINDS
    ]
    if errors.is_unreached is not None:
        count = sum(int(of_image.sum()) for of_image in errors.is_unreached)
        rows.append({"error": f"- {UNREACHED}", "count": count, "mAP gains": ""})
    return rows


def class_rows(
    errors: Errors, gains: Gains, detections: Sequence[Detections], dataset: Dataset
) -> list[Row]:
    """A row a class: name, AP, count and gain of each kind; "-" for one without objects."""
    counts = errors.class_counts(detections, dataset)
    return [
        {"name": name, "AP": _text(gains.ap[k])}
        | {kind: f"{counts[kind][k]} ({_text(gains.classes[kind][k])})" for kind in KINDS}
        for k, name in enumerate(dataset.class_names)
    ]


def _text(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
