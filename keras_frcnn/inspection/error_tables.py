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
    if (count := errors.count_unreached()) is not None:
        rows.append({"error": f"- {UNREACHED}", "count": count, "mAP gains": ""})
    return rows


def class_numbers(
    errors: Errors, gains: Gains, detections: Sequence[Detections], dataset: Dataset
) -> list[Row]:
    """Of each class its `name` and `AP`, and by kind the count (`KIND`) and gain (`KIND gain`).

    AP and gains are NaN for a class without objects.
    """
    counts = errors.class_counts(detections, dataset)
    rows: list[Row] = []
    for k, name in enumerate(dataset.class_names):
        row: Row = {"name": name, "AP": float(gains.ap[k])}
        for kind in KINDS:
            row[kind] = int(counts[kind][k])
            row[f"{kind} gain"] = float(gains.classes[kind][k])
        rows.append(row)
    return rows


def class_rows(numbers: Sequence[Row]) -> list[Row]:
    """The same to read: each kind as "count (gain)", and "-" for what is not known."""
    return [
        {"name": row["name"], "AP": _text(row["AP"])}
        | {kind: f"{row[kind]} ({_text(row[f'{kind} gain'])})" for kind in KINDS}
        for row in numbers
    ]


def csv_rows(numbers: Sequence[Row]) -> list[Row]:
    """The same to compute with: what is not known is empty."""
    return [
        {
            key: value if not isinstance(value, float) else _text(value, unknown="")
            for key, value in row.items()
        }
        for row in numbers
    ]


def _text(value: float, unknown: str = "-") -> str:
    return unknown if np.isnan(value) else f"{value:.3f}"
