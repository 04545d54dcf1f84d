"""Lines and labels over a photograph; the colours of classes.

Boxes are (x1, y1, x2, y2) in pixels of the image. Lines and letters grow with the image.
"""

import colorsys
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

# Okabe and Ito's palette, whose colours colour-blind people can tell apart too, without black.
_OKABE_ITO = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66),
    (213, 94, 0), (204, 121, 167), (0, 114, 178),
)  # fmt: skip
GREY, WHITE = (190, 190, 190), (255, 255, 255)
_CASING = (0, 0, 0, 100)  # round every line, so that it shows on any ground
_FILL = 90  # of 255: how much the colour of a mask covers


def class_colour(k: int) -> tuple[int, int, int]:
    """The RGB colour of class k >= 1, the same in every picture; grey for background, 0."""
    if k < 1:
        return GREY
    if k <= len(_OKABE_ITO):
        return _OKABE_ITO[k - 1]
    # Steps of the golden ratio keep hues of neighbouring classes far apart.
    hue = k * (math.sqrt(5) - 1) / 2 % 1
    saturation, value = ((0.55, 1.0), (0.9, 0.85), (0.75, 0.65))[k % 3]
    return tuple(round(255 * x) for x in colorsys.hsv_to_rgb(hue, saturation, value))


def _pixels(box, width: int, height: int) -> tuple[int, int, int, int]:
    """The first and last pixel columns and rows (left, top, right, bottom) of a box, drawable."""
    x1, y1, x2, y2 = (round(float(x)) for x in box)
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return left, top, max(left, min(x2, width) - 1), max(top, min(y2, height) - 1)


def _disc(radius: int) -> np.ndarray:
    """[2 * radius + 1, 2 * radius + 1], true within the radius."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= (radius + 0.5) ** 2


class Canvas:
    """An image under a transparent layer of lines and labels.

    `lines`, side by side, are as wide as the image's diagonal is long.
    """

    def __init__(self, image: np.ndarray, lines: int = 300):
        self._image = Image.fromarray(image).convert("RGBA")
        self._layer = Image.new("RGBA", self._image.size)
        self._draw = ImageDraw.Draw(self._layer)
        diagonal = math.hypot(*self._image.size)
        self._line = max(1, round(diagonal / lines))
        self._casing = max(1, self._line // 2)
        self._font = ImageFont.load_default(max(10, round(diagonal / 60)))
        self._labels: list[tuple[int, int, int, int]] = []  # where labels are already

    def box(self, box, colour, dashed=False) -> None:
        """The rim of a box."""
        left, top, right, bottom = _pixels(box, *self._image.size)
        rim = self._casing
        self._draw.rectangle(
            (left - rim, top - rim, right + rim, bottom + rim), None, _CASING, self._line + 2 * rim
        )
        if not dashed:
            self._draw.rectangle((left, top, right, bottom), None, colour, self._line)
            return
        dash, w = 6 * self._line, self._line - 1
        for start in range(left, right + 1, 2 * dash):
            end = min(start + dash - 1, right)
            self._draw.rectangle((start, top, end, min(top + w, bottom)), colour)
            self._draw.rectangle((start, max(bottom - w, top), end, bottom), colour)
        for start in range(top, bottom + 1, 2 * dash):
            end = min(start + dash - 1, bottom)
            self._draw.rectangle((left, start, min(left + w, right), end), colour)
            self._draw.rectangle((max(right - w, left), start, right, end), colour)

    def mask(self, bitmap: np.ndarray, colour) -> None:
        """The pixels [H, W] of an object: filled so that it is seen through, with an outline.

        The outline is inside, with a dark casing around it, so that it shows on any ground.
        """
        rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
        if not len(rows):
            return
        rim = self._casing
        height, width = bitmap.shape
        top, left = max(rows[0] - rim, 0), max(columns[0] - rim, 0)
        bottom, right = min(rows[-1] + rim + 1, height), min(columns[-1] + rim + 1, width)
        # The border of the image is none of the object.
        inside = np.pad(bitmap[top:bottom, left:right] > 0, self._line, mode="edge")
        patch = np.zeros((*inside.shape, 4), np.uint8)
        patch[ndimage.binary_dilation(inside, _disc(rim))] = _CASING
        patch[inside] = (*colour, 255)
        patch[ndimage.binary_erosion(inside, _disc(self._line), border_value=1)] = (*colour, _FILL)
        patch = patch[self._line : -self._line, self._line : -self._line]
        self._layer.alpha_composite(Image.fromarray(patch), (int(left), int(top)))

    def has_room(self, box, text) -> bool:
        """Whether a label with this text is no wider than the box."""
        left, _, right, _ = _pixels(box, *self._image.size)
        return self._fitted(text)[1] <= right - left + 1

    def dot(self, box, colour) -> None:
        """A dot in the middle of the box."""
        left, top, right, bottom = _pixels(box, *self._image.size)
        middle, radius = ((left + right) / 2, (top + bottom) / 2), 1.5 * self._line
        self._draw.circle(middle, radius + self._casing, _CASING)
        self._draw.circle(middle, radius, colour)

    def label(self, box, text, colour) -> None:
        """A label at the box: the first place, within the image, where none is yet."""
        text, width, height = self._fitted(text)
        if not text:
            return
        left, top, right, bottom = _pixels(box, *self._image.size)
        rim = self._casing
        places = [
            (x, y)
            for y in (top - height - rim, top, bottom + rim + 1, bottom - height + 1)
            for x in (left - rim, right + rim + 1 - width)
        ]
        inside = [
            (
                min(max(x, 0), self._image.width - width),
                min(max(y, 0), self._image.height - height),
            )
            for x, y in places
        ]
        free = (p for p in inside if not self._covered(*p, width, height))
        self._put(next(free, inside[0]), text, width, height, colour)

    def caption(self, text) -> None:
        """A label in the bottom left corner."""
        text, width, height = self._fitted(text)
        if text:
            self._put((0, self._image.height - height), text, width, height, WHITE)

    def finished(self) -> Image.Image:
        """The photograph with what was drawn."""
        return Image.alpha_composite(self._image, self._layer).convert("RGB")

    def _covered(self, x, y, width, height) -> bool:
        return any(
            x < right and left < x + width and y < bottom and top < y + height
            for left, top, right, bottom in self._labels
        )

    def _put(self, place, text, width, height, colour) -> None:
        x, y = place
        self._labels.append((x, y, x + width, y + height))
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), colour)
        red, green, blue = colour
        dark = 0.299 * red + 0.587 * green + 0.114 * blue > 110
        baseline = y + self._padding + self._font.getmetrics()[0]
        self._draw.text(
            (x + self._padding, baseline),
            text,
            (0, 0, 0) if dark else WHITE,
            self._font,
            anchor="ls",
        )

    @property
    def _padding(self) -> int:
        return max(1, round(self._font.size / 6))

    def _fitted(self, text) -> tuple[str, int, int]:
        """The text on one line, shortened to fit the image, and the size of its label.

        Nothing is left of it where the image is too small for any label.
        """
        text = " ".join(text.encode("utf-8", "replace").decode().split())
        height = sum(self._font.getmetrics()) + 2 * self._padding

        def width(shown):
            return math.ceil(self._font.getlength(shown)) + 2 * self._padding

        shown = text
        while shown and width(shown) > self._image.width:
            text = text[:-1]
            shown = text and f"{text}..."
        if height > self._image.height:
            shown = ""
        return shown, width(shown), height
