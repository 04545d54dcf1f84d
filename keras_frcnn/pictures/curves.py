"""Precision-recall curves as a picture, a panel for each class."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_frcnn.evaluation.voc import Evaluation
from keras_frcnn.pictures.draw import contact_sheet

SIZE = 240  # pixels of a panel's side
_SCALE = 2  # drawn larger and shrunk, which smooths the lines
_INK, _GRID, _CURVE, _AREA = (40, 40, 40), (222, 222, 222), (0, 114, 178), (214, 232, 243)


def draw_precision_recall(evaluation: Evaluation, columns: int = 5) -> Image.Image:
    """Precision over recall of every class that has objects, from the best score down.

    Above a panel are the class and its AP by the metric of the evaluation. The shaded area lies
    under the interpolated curve: its size is the AP of VOC 2010 and later.
    """
    panels = [
        _panel(name, f"AP {ap:.3f}", precision, recall)
        for name, ap, precision, recall in zip(
            evaluation.class_names,
            evaluation.ap,
            evaluation.precision,
            evaluation.recall,
            strict=True,
        )
        if not np.isnan(ap)
    ]
    return contact_sheet(panels, min(columns, max(len(panels), 1)), SIZE)


def _panel(name: str, ap: str, precision: Sequence[float], recall: Sequence[float]) -> Image.Image:
    side = SIZE * _SCALE
    font = ImageFont.load_default(11 * _SCALE)
    left, top, right, bottom = (x * side for x in (0.14, 0.11, 0.96, 0.86))
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)

    def point(r, p):
        return left + r * (right - left), bottom - p * (bottom - top)

    if len(precision):
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        steps = [point(0, 0), point(0, envelope[0])]
        previous = 0.0
        for r, p in zip(recall, envelope, strict=True):
            steps += [point(previous, p), point(r, p)]
            previous = r
        draw.polygon([*steps, point(previous, 0)], _AREA)
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        draw.line([point(tick, 0), point(tick, 1)], _GRID, _SCALE)
        draw.line([point(0, tick), point(1, tick)], _GRID, _SCALE)
        x, y = point(tick, tick)
        draw.text((x, bottom + 4 * _SCALE), f"{tick:g}", _INK, font, anchor="ma")
        draw.text((left - 4 * _SCALE, y), f"{tick:g}", _INK, font, anchor="rm")
    draw.line([point(0, 1), point(0, 0), point(1, 0)], _INK, _SCALE)
    if len(precision):
        curve = [point(r, p) for r, p in zip(recall, precision, strict=True)]
        draw.line([point(0, precision[0]), *curve], _CURVE, 2 * _SCALE)
    room = right - left - font.getlength(f" {ap}")
    title = name
    while font.getlength(title) > room:
        name = name[:-1]
        title = f"{name}..."
    draw.text((left, top - 4 * _SCALE), title, _INK, font, anchor="ls")
    draw.text((right, top - 4 * _SCALE), ap, _INK, font, anchor="rs")
    draw.text((right, side - 3 * _SCALE), "precision over recall", _INK, font, anchor="rs")
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
