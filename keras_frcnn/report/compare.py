"""Two runs on the same images side by side."""

from collections.abc import Sequence

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco import STATISTICS
from keras_frcnn.evaluation.errors import KINDS
from keras_frcnn.report import sections
from keras_frcnn.report.content import Content
from keras_frcnn.report.sections import Cell
from keras_frcnn.settings import format_value, option


def check_same_images(contents: Sequence[Content]) -> None:
    """Refuse to compare what is of different images or classes.

    Raises:
        InputError: it is so.
    """
    first, last = contents[0].dataset, contents[-1].dataset
    if first.class_names != last.class_names:
        raise InputError(f"{contents[-1].name}: has other classes than {contents[0].name}")
    names = [[record.filename for record in dataset.images] for dataset in (first, last)]
    if names[0] != names[1]:
        raise InputError(f"{contents[-1].name}: was tested on other images than {contents[0].name}")


def page_sections(contents: Sequence[Content]) -> list[str]:
    """The sections of a comparison."""
    return [
        _summary(*contents),
        _classes(*contents),
        sections.recall(contents),
        sections.training(contents),
        _settings(*contents),
    ]


def _difference(a: float | None, b: float | None) -> str:
    """How much more the second is."""
    if a is None or b is None or np.isnan(a) or np.isnan(b):
        return "–"
    return f"{b - a:+.3f}" if isinstance(b, float) else f"{b - a:+d}"


def _rows(names: Sequence[str], a: Sequence, b: Sequence) -> list[list[Cell | None]]:
    return [[name, x, y, _difference(x, y)] for name, x, y in zip(names, a, b, strict=True)]


def _summary(a: Content, b: Content) -> str:
    head = ("", a.name, b.name, "difference")
    rows = _rows(["mAP (VOC)"], [a.voc.mean_ap], [b.voc.mean_ap])
    rows += _rows(
        [f"{name} (COCO)" for name in STATISTICS],
        *([content.coco.statistics[name] for name in STATISTICS] for content in (a, b)),
    )
    counts = [content.errors.counts() for content in (a, b)]
    rows += _rows(
        [f"errors: {kind}" for kind in KINDS], *([of[kind] for kind in KINDS] for of in counts)
    )
    stages = [stage for stage in a.seconds if stage in b.seconds]
    for stage in stages:
        x, y = (1000 * content.seconds[stage] for content in (a, b))
        rows.append([f"ms an image: {stage}", f"{x:.1f}", f"{y:.1f}", f"{y - x:+.1f}"])
    return sections.section("summary", "Comparison", sections.table(head, rows, "comparison"))


def _classes(a: Content, b: Content) -> str:
    head = ("AP (VOC) of class", a.name, b.name, "difference")
    names = [*a.dataset.class_names, "mean"]
    values = ([*content.voc.ap.tolist(), content.voc.mean_ap] for content in (a, b))
    rows = _rows(names, *values)
    return sections.section("classes", "Classes", sections.table(head, rows, "AP of classes"))


def _settings(a: Content, b: Content) -> str:
    if a.settings is None or b.settings is None:
        return ""
    rows = [
        [option(key), format_value(x), format_value(y)]
        for key in a.settings.to_dict()
        if (x := getattr(a.settings, key)) != (y := getattr(b.settings, key))
    ]
    table = sections.table(("option", a.name, b.name), rows, "settings that differ")
    body = table if rows else "<p>All settings are the same.</p>"
    return sections.section("settings", "Settings that differ", body)
