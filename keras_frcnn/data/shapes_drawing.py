"""Draws one picture of the `shapes` data set: shaded shapes lying in photograph-like clutter.

H x W is the size of the picture; colours are 0 to 1. Arithmetic is float64, so that differences in
the last bit between processors do not reach the 8-bit pixels.
"""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np

from keras_frcnn.opencv import opencv

cv2 = opencv()

WIDTH, HEIGHT = 224, 192  # not square, so that mixing up x and y shows
SHAPES = ("circle", "cross", "ring", "square", "star", "triangle")

MOST_SHAPES = 3
SMALLEST, LARGEST = 50, 140  # pixels, diameter of the circle around a shape
MOST_TURN = np.pi / 9  # to either side: what stands upright in the world mostly does in pictures
LEAST_INSIDE = 0.75  # fraction of a shape that lies in the picture
LEAST_VISIBLE = 0.6  # fraction of it that is neither outside nor hidden behind later shapes
LEAST_CONTRAST = 0.3  # distance of the mean colours of a shape and of what it lies on

SUPERSAMPLING = 4  # edges are drawn this much larger and averaged down
SUBPIXEL_BITS = 6  # of OpenCV's fixed-point coordinates


@dataclass
class Shape:
    """A shape in the picture."""

    name: str
    area: float  # pixels, whether visible or not
    coverage: np.ndarray  # [H, W], visible fraction of the pixel that belongs to the shape
    truncated: bool  # reaches out of the picture

    def bitmap(self) -> np.ndarray:
        """[H, W], the pixels of which it has half or more."""
        return self.coverage >= 0.5

    def box(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) around the visible part; x2 and y2 are exclusive."""
        ys, xs = np.nonzero(self.bitmap())
        return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def draw_picture(rng: np.random.Generator) -> tuple[np.ndarray, list[Shape]]:
    """Draws a picture with 1 to 3 shapes.

    Returns uint8 RGB [H, W, 3] and the shapes, those further behind first.
    """
    light = rng.uniform(0, 2 * np.pi)  # where it comes from, for bevels and shadows
    canvas = _background(rng)
    for _ in range(rng.integers(1, 5)):
        canvas = _add_distractor(rng, canvas, light)
    shapes: list[Shape] = []
    wanted = rng.integers(1, MOST_SHAPES + 1)
    while len(shapes) < wanted:
        canvas = _try_shape(rng, canvas, shapes, light)
    return _photograph(rng, canvas), shapes


def _try_shape(rng, canvas, shapes, light):
    """Draws one more shape, unless it lies outside, hides another or does not stand out."""
    name = SHAPES[rng.integers(len(SHAPES))]
    radius = SMALLEST / 2 * (LARGEST / SMALLEST) ** rng.uniform()
    center = rng.uniform(0, (WIDTH, HEIGHT))
    turn = rng.uniform(-MOST_TURN, MOST_TURN)
    tilt, tilt_axis = rng.uniform(0.75, 1), rng.uniform(0, np.pi)
    # Tilting towards the viewer foreshortens along one axis.
    affine = _rotation(tilt_axis).T @ np.diag([tilt, 1]) @ _rotation(tilt_axis) @ _rotation(turn)
    outlines = [points @ affine.T * radius + center for points in _outlines(rng, name)]
    coverage = _rasterize(outlines)
    area = abs(sum(_signed_area(points) for points in outlines))
    color = _color(rng, saturation=(0.45, 0.95), value=(0.35, 1.0))

    inside = coverage.sum() / area
    left = [(shape.coverage * (1 - coverage)).sum() / shape.area for shape in shapes]
    if inside < LEAST_INSIDE or any(fraction < LEAST_VISIBLE for fraction in left):
        return canvas
    behind = (canvas * coverage[:, :, None]).sum(axis=(0, 1)) / coverage.sum()
    if np.linalg.norm(color - behind) < LEAST_CONTRAST:
        return canvas
    for shape in shapes:
        shape.coverage = shape.coverage * (1 - coverage)
    shapes.append(Shape(name, area, coverage, truncated=bool(inside < 0.99)))
    return _lay(rng, canvas, coverage, color, light, height=rng.uniform(0.15, 1) * radius / 8)


def _outlines(rng, name: str) -> list[np.ndarray]:
    """Closed polygons [P, 2] of a shape in the unit circle; a second one inside is a hole."""
    if name == "circle":
        return [_circle(1)]
    if name == "ring":
        return [_circle(1), _circle(-rng.uniform(0.5, 0.68))]  # negative: the other way round
    if name == "square":
        return [_polygon(4) @ _rotation(np.pi / 4).T]
    if name == "triangle":
        return [_polygon(3)]
    if name == "star":
        points = _polygon(10)
        points[1::2] *= rng.uniform(0.4, 0.5)
        return [points]
    arm = rng.uniform(0.24, 0.34)
    quarter = np.array([[1, -arm], [1, arm], [arm, arm]])
    cross = np.concatenate([quarter @ _rotation(k * np.pi / 2).T for k in range(4)])
    return [cross / np.hypot(1, arm)]


def _polygon(corners: int) -> np.ndarray:
    """Corners [P, 2] of a regular polygon in the unit circle, the first at the top."""
    angles = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _circle(radius: float) -> np.ndarray:
    return _polygon(90) * (abs(radius), radius)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _signed_area(points: np.ndarray) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _rasterize(outlines: list[np.ndarray]) -> np.ndarray:
    """The fraction [H, W] of every pixel inside the polygons, by the even-odd rule."""
    mask = np.zeros((HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING), np.uint8)
    # Pixel centers are at half coordinates here and at whole ones in OpenCV.
    fixed = [
        np.round((points * SUPERSAMPLING - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)
        for points in outlines
    ]
    full = 240  # a multiple of the samples in a pixel, so that their means are whole numbers
    cv2.fillPoly(mask, fixed, full, shift=SUBPIXEL_BITS)
    return cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / full


def _lay(rng, canvas, coverage, color, light, height):
    """Lays a surface of `color` on the canvas, with a shadow, a bevelled edge and a texture."""
    direction = np.array([np.cos(light), np.sin(light)])
    shift = np.float64([[1, 0, -direction[0] * height], [0, 1, -direction[1] * height]])
    shadow = cv2.warpAffine(coverage, shift, (WIDTH, HEIGHT))
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.5 + height / 2)
    canvas = canvas * (1 - rng.uniform(0.25, 0.6) * shadow)[:, :, None]

    bevel = cv2.GaussianBlur(coverage, (0, 0), rng.uniform(1.0, 3.0))
    slope_y, slope_x = np.gradient(bevel)
    shade = 1 - rng.uniform(0.5, 2.0) * (slope_x * direction[0] + slope_y * direction[1])
    xs, ys = _grid()
    falloff = (xs / WIDTH - 0.5) * direction[0] + (ys / HEIGHT - 0.5) * direction[1]
    shade = shade + rng.uniform(0, 0.4) * falloff
    surface = color * shade[:, :, None] + rng.uniform(0.02, 0.14) * _texture(rng)[:, :, None]
    return canvas + (surface - canvas) * coverage[:, :, None]


def _background(rng) -> np.ndarray:
    """Two related muted colours mixed by a texture, and perhaps a third behind a horizon."""
    hue = rng.uniform()
    dark = _color(rng, saturation=(0.05, 0.45), value=(0.15, 0.55), hue=hue)
    bright = _color(rng, (0.05, 0.4), (0.45, 0.9), hue=hue + rng.uniform(-0.12, 0.12))
    mix = 0.5 + rng.uniform(0.3, 1.0) * _texture(rng)
    canvas = dark + (bright - dark) * np.clip(mix, 0, 1)[:, :, None]
    if rng.uniform() < 0.4:  # a second surface behind a horizon
        xs, ys = _grid()
        angle = rng.uniform(-0.5, 0.5)
        edge = (ys - HEIGHT * rng.uniform(0.25, 0.75)) * np.cos(angle)
        edge += (xs - WIDTH / 2) * np.sin(angle)
        tint = _color(rng, saturation=(0.05, 0.4), value=(0.3, 0.9))
        other = tint + rng.uniform(0.05, 0.25) * _texture(rng)[:, :, None]
        canvas = np.where(edge[:, :, None] < 0, other, canvas)
    return canvas


def _add_distractor(rng, canvas, light):
    """Something that is none of the shapes: a strip, a curved line or an irregular blob."""
    kind = rng.integers(3)
    center = rng.uniform(0, (WIDTH, HEIGHT))
    if kind == 0:  # strip, too long and thin to pass for a square
        length, thickness = rng.uniform(80, 260), rng.uniform(4, 16)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (length / 2, thickness / 2)
        outline = corners @ _rotation(rng.uniform(0, np.pi)).T + center
    elif kind == 1:  # curved line of a few pixels' width
        t = np.linspace(-1, 1, 60)
        middle = np.stack([t * rng.uniform(60, 180), rng.uniform(-70, 70) * t**2], axis=1)
        middle[:, 1] += rng.uniform(0, 15) * np.sin(rng.uniform(2, 8) * t)
        offset = np.array([0, rng.uniform(0.8, 3)])
        outline = np.concatenate([middle + offset, middle[::-1] - offset])
        outline = outline @ _rotation(rng.uniform(0, 2 * np.pi)).T + center
    else:
        angles = np.arange(120) * 2 * np.pi / 120
        radius = np.ones(120)
        for wave in range(2, 6):
            radius += rng.uniform(0.1, 0.5) / wave * np.sin(wave * angles + rng.uniform(0, 6.3))
        outline = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
        stretch = rng.uniform(10, 36) * np.array([rng.uniform(1.6, 2.4), 1])
        outline = outline * stretch @ _rotation(rng.uniform(0, np.pi)).T + center
    color = _color(rng, saturation=(0.05, 0.7), value=(0.15, 0.95))
    return _lay(rng, canvas, _rasterize([outline]), color, light, height=rng.uniform(0, 3))


def _texture(rng) -> np.ndarray:
    """A pattern [H, W] of zero mean, mostly within -0.5 and 0.5: clouds, grain, wood or cloth."""
    kind = rng.integers(4)
    if kind == 0:
        return _clouds(rng, coarsest=2, persistence=rng.uniform(0.4, 0.6))
    if kind == 1:
        return _clouds(rng, coarsest=16, persistence=rng.uniform(0.7, 0.95))
    xs, ys = _grid()
    angle = rng.uniform(0, np.pi)
    u, v = xs * np.cos(angle) + ys * np.sin(angle), ys * np.cos(angle) - xs * np.sin(angle)
    bent = _clouds(rng, coarsest=2, persistence=0.5)
    if kind == 2:  # wood: stripes bent by clouds
        period = rng.uniform(8, 30)
        return 0.35 * np.sin(2 * np.pi * (u + 40 * bent) / period) + 0.3 * bent
    period = rng.uniform(5, 12)  # cloth: threads both ways
    threads = np.sin(2 * np.pi * u / period) + np.sin(2 * np.pi * v / period)
    return 0.15 * threads + 0.5 * bent


def _clouds(rng, coarsest: int, persistence: float) -> np.ndarray:
    """Value noise [H, W]: octaves of random grids, each finer and weaker than the one before."""
    total, weight, weights = np.zeros((HEIGHT, WIDTH)), 1.0, 0.0
    cells = coarsest
    while cells <= 96:
        octave = rng.uniform(-1, 1, (cells, cells))
        total += weight * cv2.resize(octave, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        weights += weight
        weight, cells = weight * persistence, cells * 2
    return total / weights


def _photograph(rng, canvas) -> np.ndarray:
    """What a camera adds: uneven light, lens blur, white balance and sensor noise."""
    xs, ys = _grid()
    x0, y0 = rng.uniform(0, (WIDTH, HEIGHT))
    distance = ((xs - x0) ** 2 + (ys - y0) ** 2) / (WIDTH**2 + HEIGHT**2)
    light = rng.uniform(0.9, 1.15) * (1 - rng.uniform(0, 0.6) * distance)
    canvas = canvas * light[:, :, None] * rng.uniform(0.94, 1.06, 3)
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.9))
    canvas = canvas + rng.normal(0, rng.uniform(0.004, 0.02), canvas.shape)
    return np.round(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def _color(rng, saturation, value, hue=None) -> np.ndarray:
    hue = rng.uniform() if hue is None else hue
    return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)))


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixel centers, both [H, W]."""
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    return xs, ys
