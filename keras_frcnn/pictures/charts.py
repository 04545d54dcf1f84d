"""Charts of an experiment's table: bars, and lines over a number."""

import itertools
import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

SIZE = (720, 400)  # pixels of a line chart; a bar chart is as wide
_SCALE = 2  # drawn larger and shrunk, which smooths the lines
_INK, _GRID = (40, 40, 40), (222, 222, 222)
_COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))  # Okabe and Ito's
_TICKS = 5  # steps of an axis, about


def bar_chart(title: str, quantity: str, values: Mapping[str, float]) -> Image.Image:
    """A horizontal bar for each label, from 0; NaN has none."""
    width, row, top, bottom = SIZE[0] * _SCALE, 36 * _SCALE, 44 * _SCALE, 40 * _SCALE
    image, draw, font = _canvas(title, (width, top + row * len(values) + bottom))
    left = max(font.getlength(label) for label in values) + 24 * _SCALE
    right = width - 64 * _SCALE
    ticks = _ticks(0.0, max((v for v in values.values() if not math.isnan(v)), default=0.0))

    def at(value):
        return left + (right - left) * value / ticks[-1]

    end = top + row * len(values)
    for tick in ticks:
        draw.line([(at(tick), top), (at(tick), end)], _GRID, _SCALE)
        draw.text((at(tick), end + 4 * _SCALE), f"{tick:g}", _INK, font, anchor="ma")
    draw.text((right, end + 20 * _SCALE), quantity, _INK, font, anchor="ra")
    for i, (label, value) in enumerate(values.items()):
        middle = top + row * (i + 0.5)
        draw.text((left - 8 * _SCALE, middle), label, _INK, font, anchor="rm")
        if not math.isnan(value):
            draw.rectangle([left, middle - row // 3, at(value), middle + row // 3], _COLORS[0])
            draw.text((at(value) + 6 * _SCALE, middle), f"{value:.3f}", _INK, font, anchor="lm")
    return _shrunk(image)


def line_chart(
    title: str, quantity: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> Image.Image:
    """A line for each name over `x`, in ascending order; a gap where a value is NaN."""
    image, draw, font = _canvas(title, tuple(side * _SCALE for side in SIZE))
    left, top = 56 * _SCALE, 64 * _SCALE
    right, bottom = image.width - 28 * _SCALE, image.height - 52 * _SCALE
    known = [v for line in lines.values() for v in line if not math.isnan(v)] or [0.0]
    ticks, x_ticks = _ticks(min(known), max(known)), _ticks(0.0, max(x))

    def point(a, b):
        return (
            left + (right - left) * a / x_ticks[-1],
            bottom - (bottom - top) * (b - ticks[0]) / (ticks[-1] - ticks[0]),
        )

    for tick in ticks:
        draw.line([point(0, tick), point(x_ticks[-1], tick)], _GRID, _SCALE)
        at = (left - 6 * _SCALE, point(0, tick)[1])
        draw.text(at, f"{tick:g}", _INK, font, anchor="rm")
    for tick in x_ticks:
        at = (point(tick, 0)[0], bottom + 6 * _SCALE)
        draw.text(at, f"{tick:g}", _INK, font, anchor="ma")
    draw.line([(left, bottom), (right, bottom)], _INK, _SCALE)
    draw.text((right, bottom + 24 * _SCALE), quantity, _INK, font, anchor="ra")
    legend = left
    for (name, line), color in zip(lines.items(), _COLORS, strict=False):
        points = [None if math.isnan(v) else point(a, v) for a, v in zip(x, line, strict=True)]
        for start, end in itertools.pairwise(points):
            if start and end:
                draw.line([start, end], color, 2 * _SCALE)
        for p in filter(None, points):
            draw.circle(p, 4 * _SCALE, color)
        draw.circle((legend + 4 * _SCALE, 46 * _SCALE), 4 * _SCALE, color)
        draw.text((legend + 14 * _SCALE, 46 * _SCALE), name, _INK, font, anchor="lm")
        legend += font.getlength(name) + 34 * _SCALE
    return _shrunk(image)


def _canvas(title, size):
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.text((12 * _SCALE, 10 * _SCALE), title, _INK, ImageFont.load_default(16 * _SCALE))
    return image, draw, ImageFont.load_default(13 * _SCALE)


def _shrunk(image):
    size = (image.width // _SCALE, image.height // _SCALE)
    return image.resize(size, Image.Resampling.LANCZOS)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, the first at most `low` and the last at least `high`."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power * _TICKS >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]
