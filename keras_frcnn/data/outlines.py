"""Outlines of the shapes that annotation tools have besides polygons.

All are x1, y1, x2, y2, ... in continuous pixels, as `segmentation.Polygons` takes them.
"""

import math

_CORNERS = 72  # of what is round: a circle of 100 pixels' radius is met within 0.1


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    """A box by two opposite corners."""
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> list[float]:
    """An ellipse by centre and radii, turned by an angle in radians, clockwise in the image."""
    points = []
    for i in range(_CORNERS):
        x, y = rx * math.cos(a := 2 * math.pi * i / _CORNERS), ry * math.sin(a)
        points += [
            cx + x * math.cos(angle) - y * math.sin(angle),
            cy + x * math.sin(angle) + y * math.cos(angle),
        ]
    return points


def interleaved(xs, ys) -> list[float]:
    """Points that come as a list of x and one of y."""
    return [number for point in zip(xs, ys, strict=True) for number in point]
