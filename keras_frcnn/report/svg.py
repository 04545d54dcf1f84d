"""Line charts as SVG that takes its colours from the page, and so is right in the dark too."""

import html
import math
from collections.abc import Mapping, Sequence

Line = Sequence[tuple[float, float]]  # x, y

_WIDTH, _HEIGHT = 420, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 20, 10, 34
_LINES = 6  # colours of the style sheet: .line-0 to .line-5


def line_chart(
    title: str,
    lines: Mapping[str, Line],
    x_name: str,
    y_limits: tuple[float, float] | None = None,
    x_limits: tuple[float, float] | None = None,
) -> str:
    """A figure with a line for each name; what is not finite makes a gap.

    Args:
        title: also what a screen reader says.
        lines: of points, by the name in the legend; "" has none.
        x_name: what stands below.
        y_limits, x_limits: of the axes; by default from the points, y from 0.
    """
    points = [p for line in lines.values() for p in line if all(map(math.isfinite, p))]
    x0, x1 = x_limits or _limits([x for x, _ in points])
    y0, y1 = y_limits or (0.0, _limits([y for _, y in points])[1] * 1.05)
    x_range, y_range = (x1 - x0) or 1.0, (y1 - y0) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x0) / x_range * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (y - y0) / y_range * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in ticks(y0, y1):
        _, y = at(x0, value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(x0, x1):
        x, _ = at(value, y0)
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">{html.escape(x_name)}</text>'
    )
    for i, line in enumerate(lines.values()):
        for piece in _pieces(line):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in piece))
            shape = f'<polyline class="line line-{i % _LINES}" points="{path}"/>'
            if len(piece) == 1:
                x, y = at(*piece[0])
                shape = f'<circle class="dot line-{i % _LINES}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            parts.append(shape)
    legend = "".join(
        f'<li><span class="key line-{i % _LINES}"></span>{html.escape(name)}</li>'
        for i, name in enumerate(lines)
        if name
    )
    return (
        f'<figure class="chart"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{''.join(parts)}</svg>{f'<ul class=legend>{legend}</ul>' if legend else ''}</figure>"
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most `most`."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(f for f in (1, 2, 5, 10, 20) if (high - low) / (f * step) <= most - 1)
    first = math.ceil(low / step - 1e-9)
    count = math.floor((high - first * step) / step + 1e-9) + 1
    return [round((first + i) * step, 12) for i in range(count)]


def thinned(line: Line, most: int = 200) -> Line:
    """At most about so many points of a line, its ends among them."""
    if len(line) <= most:
        return line
    step = len(line) / (most - 1)
    return [line[min(int(i * step), len(line) - 1)] for i in range(most - 1)] + [line[-1]]


def _limits(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)


def _pieces(line: Line) -> list[list[tuple[float, float]]]:
    """The line between its gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for point in line:
        if all(map(math.isfinite, point)):
            pieces[-1].append(point)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
