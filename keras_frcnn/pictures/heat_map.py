"""Numbers of the cells of a feature map, as colours over the photograph.

Shape letters: H x W pixels of the image, H' x W' cells.
"""

import math

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_COLOURS = "viridis"  # of even steps, also to colour-blind people and in grey
_GROUND = (
    0.7,
    40,
)  # the photograph in grey, its contrast and brightness: colours show on any of it
_LEAST, _MOST = 0.15, 0.75  # how much of the colour covers it, for 0 and 1
_LINE, _CASING = (255, 255, 255), (0, 0, 0, 90)
_LEVEL = 0.5


def draw_heat_map(
    image: np.ndarray, values: np.ndarray, cell: np.ndarray, caption: str
) -> Image.Image:
    """The photograph in grey under the values, with a line round those of 0.5 and more.

    Args:
        image: upright, uint8 RGB [H, W, 3].
        values: [H', W'], from 0 to 1.
        cell: (height, width) of a cell in pixels of the image; between the centres of cells the
            values are interpolated, beyond the outer ones they go on.
        caption: what they are, for the legend in the bottom left corner; of an image too small
            for it the legend is left out.

    Returns:
        A picture of the image's size.
    """
    height, width = image.shape[:2]
    values = (
        _weights(height, len(values), cell[0])
        @ values
        @ _weights(width, values.shape[1], cell[1]).T
    )
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float64)[..., None]
    contrast, brightness = _GROUND
    share = (_LEAST + (_MOST - _LEAST) * np.sqrt(values.clip(0, 1)))[..., None]
    mixed = (1 - share) * (contrast * grey + brightness) + share * _colours(values)
    picture = Image.fromarray(mixed.round().astype(np.uint8))
    _outline(picture, values >= _LEVEL)
    _add_legend(picture, caption)
    return picture


def _weights(pixels: int, cells: int, cell: float) -> np.ndarray:
    """What each cell adds to the value at each pixel along one side: [pixels, cells]."""
    centres = (np.arange(pixels) + 0.5) / cell - 0.5
    columns = [np.interp(centres, np.arange(cells), one) for one in np.eye(cells)]
    return np.stack(columns, axis=1)


def _colours(values: np.ndarray) -> np.ndarray:
    """RGB [..., 3] from 0 to 255."""
    return 255 * matplotlib.colormaps[_COLOURS](values)[..., :3]


def _outline(picture: Image.Image, inside: np.ndarray) -> None:
    """Draw a thin line along the border of a region [H, W]."""
    border = np.zeros_like(inside)
    border[1:] |= inside[1:] != inside[:-1]
    border[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    thickness = max(1, round(math.hypot(*picture.size) / 600))
    line = _thickened(Image.fromarray(255 * border.astype(np.uint8)), thickness - 1)
    casing = Image.new("RGBA", picture.size, _CASING)
    around = _thickened(line, 1).point(lambda x: x * _CASING[3] // 255)
    picture.paste(casing.convert("RGB"), mask=around)
    picture.paste(_LINE, mask=line)


def _thickened(mask: Image.Image, by: int) -> Image.Image:
    return mask.filter(ImageFilter.MaxFilter(2 * by + 1)) if by else mask


def _add_legend(picture: Image.Image, caption: str) -> None:
    """Caption and scale of colours in the bottom left corner, on a ground of their own."""
    font = ImageFont.load_default(max(10, round(math.hypot(*picture.size) / 60)))
    pad = max(2, round(font.size / 3))
    line = sum(font.getmetrics())
    bar = 6 * line
    low, high = "0", "1"
    for text in (caption, ""):  # without the caption where that is too long
        parts = [math.ceil(font.getlength(t)) for t in (text, low, high)]
        width, height = sum(parts) + bar + pad * (7 if text else 4), line + 2 * pad
        if width <= picture.width and height <= picture.height:
            break
    else:
        return
    top, x = picture.height - height, pad
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, top, width - 1, picture.height - 1), "white")

    def write(x, what):
        draw.text((x, top + pad + font.getmetrics()[0]), what, "black", font, anchor="ls")

    if text:
        write(x, text)
        x += parts[0] + 3 * pad
    write(x, low)
    x += parts[1] + pad
    colours = np.tile(_colours(np.linspace(0, 1, bar))[None], (line, 1, 1))
    picture.paste(Image.fromarray(colours.round().astype(np.uint8)), (x, top + pad))
    # Where the line in the picture runs.
    draw.line(
        (x + bar // 2, top + pad, x + bar // 2, top + pad + line - 1), _LINE, max(1, pad // 3)
    )
    write(x + bar + pad, high)
