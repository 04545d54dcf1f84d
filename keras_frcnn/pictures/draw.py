"""Pictures of the stages: ground truth, sampled RoIs and detections.

Each `draw_...` takes an upright uint8 RGB image [H, W, 3] and returns a `PIL.Image` of its size.
Boxes are (x1, y1, x2, y2) in pixels of the image. Lines and letters grow with the image.
"""

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.detection.detections import Detections

# Okabe and Ito's palette, whose colours colour-blind people can tell apart too, without black.
_OKABE_ITO = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66),
    (213, 94, 0), (204, 121, 167), (0, 114, 178),
)  # fmt: skip
_GREY, _WHITE = (190, 190, 190), (255, 255, 255)
_CASING = (0, 0, 0, 100)  # round every line, so that it shows on any ground
_THIN = 600  # see `_Canvas`: lines for pictures of many boxes


def class_colour(k: int) -> tuple[int, int, int]:
    """The RGB colour of class k >= 1, the same in every picture; grey for background, 0."""
    if k < 1:
        return _GREY
    if k <= len(_OKABE_ITO):
        return _OKABE_ITO[k - 1]
    # Steps of the golden ratio keep hues of neighbouring classes far apart.
    hue = k * (math.sqrt(5) - 1) / 2 % 1
    saturation, value = ((0.55, 1.0), (0.9, 0.85), (0.75, 0.65))[k % 3]
    return tuple(round(255 * x) for x in colorsys.hsv_to_rgb(hue, saturation, value))


def draw_detections(
    image: np.ndarray, detections: Detections, class_names: Sequence[str]
) -> Image.Image:
    """Boxes with class and score; where labels collide, the higher score has the better place."""
    canvas = _Canvas(image)
    order = np.argsort(-detections.scores, kind="stable")
    for i in order[::-1]:
        canvas.box(detections.boxes[i], class_colour(detections.classes[i]))
    for i in order:
        k = detections.classes[i]
        text = f"{class_names[k - 1]} {detections.scores[i]:.2f}"
        canvas.label(detections.boxes[i], text, class_colour(k))
    return canvas.finished()


def draw_ground_truth(
    image: np.ndarray, record: ImageRecord, class_names: Sequence[str]
) -> Image.Image:
    """The annotated boxes with their classes; difficult objects with dashed lines."""
    canvas = _Canvas(image)
    for box, k, difficult in zip(record.boxes, record.labels, record.is_difficult, strict=True):
        canvas.box(box, class_colour(k), dashed=difficult)
    for box, k in zip(record.boxes, record.labels, strict=True):
        canvas.label(box, class_names[k - 1], class_colour(k))
    return canvas.finished()


def draw_sampled_rois(image: np.ndarray, rois: np.ndarray, labels: np.ndarray) -> Image.Image:
    """The RoIs [R, 4] of a training example: those of objects coloured by class, others grey.

    `labels` [R] are 0 for background, 1..K for objects, and -1 for padding, which is not drawn.
    """
    canvas = _Canvas(image)
    for drawn in (labels == 0, labels > 0):  # objects above background
        for box, k in zip(rois[drawn], labels[drawn], strict=True):
            canvas.box(box, class_colour(k))
    canvas.caption(f"{np.sum(labels > 0)} foreground, {np.sum(labels == 0)} background")
    return canvas.finished()


def draw_sampled_anchors(image: np.ndarray, anchors: np.ndarray, labels: np.ndarray) -> Image.Image:
    """The anchors [S, 4] of a training example: boxes of objects, dots in the middle of others.

    `labels` [S] are 1 for objects, 0 for background, and -1 for padding, which is not drawn.
    """
    canvas = _Canvas(image, _THIN)
    for box in anchors[labels == 0]:
        canvas.dot(box, _GREY)
    for box in anchors[labels == 1]:
        canvas.box(box, class_colour(1))
    canvas.caption(f"{np.sum(labels == 1)} anchors of objects, {np.sum(labels == 0)} of background")
    return canvas.finished()


def draw_proposals(image: np.ndarray, proposals: np.ndarray) -> Image.Image:
    """Proposals [P, 4], best first: the better, the nearer to the first class's colour."""
    canvas = _Canvas(image, _THIN)
    best, last = np.array(class_colour(1)), np.array(_GREY)
    for i in reversed(range(len(proposals))):
        share = i / max(len(proposals) - 1, 1)
        canvas.box(proposals[i], tuple(np.round(best + share * (last - best)).astype(int).tolist()))
    canvas.caption(f"the best {len(proposals)} proposals")
    return canvas.finished()


def draw_anchors(
    image: np.ndarray, anchors: np.ndarray, kinds: Sequence[int], caption: str
) -> Image.Image:
    """The anchors [A, 4] of one cell; dashed are those that do not lie inside the image.

    The picture has a grey margin as wide as these need.

    Args:
        kinds: [A], which colour each has, counted from 0: that of its scale.
        caption: what stands below.
    """
    height, width = image.shape[:2]
    beyond = np.ceil(np.maximum([-anchors[:, :2], anchors[:, 2:] - [width, height]], 0))
    across, down = beyond.max(axis=(0, 1), initial=0).astype(int)
    canvas = _Canvas(
        np.pad(image, ((down, down), (across, across), (0, 0)), constant_values=_GREY[0])
    )
    for i, box in enumerate(anchors + np.tile([across, down], 2)):
        canvas.box(box, class_colour(kinds[i] + 1), dashed=bool(beyond[:, i].any()))
    canvas.caption(caption)
    return canvas.finished()


def draw_best_anchors(
    image: np.ndarray, boxes: np.ndarray, anchors: np.ndarray, kinds: Sequence[int], iou: np.ndarray
) -> Image.Image:
    """Objects [M, 4] in white, each with the anchor [M, 4] nearest to it and their IoU [M].

    Args:
        kinds: [M], as for `draw_anchors`, of these anchors.
    """
    canvas = _Canvas(image)
    for box in boxes:
        canvas.box(box, _WHITE)
    for box, kind in zip(anchors, kinds, strict=True):
        canvas.box(box, class_colour(kind + 1))
    for i in np.argsort(-iou, kind="stable"):  # the better has the better place
        canvas.label(anchors[i], f"{iou[i]:.2f}", class_colour(kinds[i] + 1))
    canvas.caption("objects, and the best anchor of each")
    return canvas.finished()


def contact_sheet(images: Sequence[Image.Image], columns: int, cell_size: int = 480) -> Image.Image:
    """The pictures in rows of `columns`, each shrunk to fit `cell_size` pixels a side."""
    gap = max(2, cell_size // 40)
    thumbnails = []
    for image in images:
        thumbnail = image.copy()
        thumbnail.thumbnail((cell_size, cell_size), Image.Resampling.LANCZOS)
        thumbnails.append(thumbnail)
    rows = [thumbnails[i : i + columns] for i in range(0, len(thumbnails), columns)]
    cell_width = max((t.width for t in thumbnails), default=1)
    heights = [max(t.height for t in row) for row in rows]
    in_widest = min(columns, len(thumbnails))
    sheet = Image.new(
        "RGB",
        (gap + in_widest * (cell_width + gap), gap + sum(h + gap for h in heights)),
        "white",
    )
    top = gap
    for row, height in zip(rows, heights, strict=True):
        for i, thumbnail in enumerate(row):
            left = gap + i * (cell_width + gap) + (cell_width - thumbnail.width) // 2
            sheet.paste(thumbnail, (left, top + (height - thumbnail.height) // 2))
        top += height + gap
    return sheet


def _pixels(box, width: int, height: int) -> tuple[int, int, int, int]:
    """The first and last pixel columns and rows (left, top, right, bottom) of a box, drawable."""
    x1, y1, x2, y2 = (round(float(x)) for x in box)
    left, top = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return left, top, max(left, min(x2, width) - 1), max(top, min(y2, height) - 1)


class _Canvas:
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
            self._put((0, self._image.height - height), text, width, height, _WHITE)

    def finished(self) -> Image.Image:
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
            (0, 0, 0) if dark else _WHITE,
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
