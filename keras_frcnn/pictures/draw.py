"""Pictures of the stages: ground truth, sampled RoIs and detections.

Each `draw_...` takes an upright uint8 RGB image [H, W, 3] and returns a `PIL.Image` of its size.
Boxes are (x1, y1, x2, y2) in pixels of the image. Lines and letters grow with the image.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import ImageRecord
from keras_frcnn.detection.detections import Detections
from keras_frcnn.pictures.canvas import GREY, WHITE, Canvas, class_colour
from keras_frcnn.run_length import to_bitmap

_THIN = 600  # see `Canvas`: lines for pictures of many boxes


def draw_detections(
    image: np.ndarray, detections: Detections, class_names: Sequence[str]
) -> Image.Image:
    """Boxes with class and score; where labels collide, the higher score has the better place.

    Masks, where there are some, are drawn in place of boxes, the best on top, and labelled where
    the label is no wider than the object: fields of cells would be nothing but labels.
    """
    masks = detections.masks
    canvas = Canvas(image, 300 if masks is None else _THIN)
    order = np.argsort(-detections.scores, kind="stable")
    for i in order[::-1]:
        colour = class_colour(detections.classes[i])
        if masks is None:
            canvas.box(detections.boxes[i], colour)
        else:
            canvas.mask(to_bitmap(masks[i], *image.shape[:2]), colour)
    for i in order:
        k = detections.classes[i]
        text = f"{class_names[k - 1]} {detections.scores[i]:.2f}"
        if masks is None or canvas.has_room(detections.boxes[i], text):
            canvas.label(detections.boxes[i], text, class_colour(k))
    return canvas.finished()


def draw_ground_truth(
    image: np.ndarray, record: ImageRecord, class_names: Sequence[str]
) -> Image.Image:
    """The annotated boxes with their classes; difficult objects with dashed lines.

    An object that has a mask is shown by that, unless it is difficult.
    """
    canvas = Canvas(image, _THIN if record.masks else 300)
    masks = record.masks or (None,) * len(record.labels)
    has_mask = [m is not None and not d for m, d in zip(masks, record.is_difficult, strict=True)]
    for i, (box, k) in enumerate(zip(record.boxes, record.labels, strict=True)):
        if has_mask[i]:
            canvas.mask(to_bitmap(masks[i], *image.shape[:2]), class_colour(k))
        else:
            canvas.box(box, class_colour(k), dashed=record.is_difficult[i])
    for box, k, is_mask in zip(record.boxes, record.labels, has_mask, strict=True):
        if not is_mask or canvas.has_room(box, class_names[k - 1]):
            canvas.label(box, class_names[k - 1], class_colour(k))
    return canvas.finished()


def draw_sampled_rois(image: np.ndarray, rois: np.ndarray, labels: np.ndarray) -> Image.Image:
    """The RoIs [R, 4] of a training example: those of objects coloured by class, others grey.

    `labels` [R] are 0 for background, 1..K for objects, and -1 for padding, which is not drawn.
    """
    canvas = Canvas(image)
    for drawn in (labels == 0, labels > 0):  # objects above background
        for box, k in zip(rois[drawn], labels[drawn], strict=True):
            canvas.box(box, class_colour(k))
    canvas.caption(f"{np.sum(labels > 0)} foreground, {np.sum(labels == 0)} background")
    return canvas.finished()


def draw_sampled_anchors(image: np.ndarray, anchors: np.ndarray, labels: np.ndarray) -> Image.Image:
    """The anchors [S, 4] of a training example: boxes of objects, dots in the middle of others.

    `labels` [S] are 1 for objects, 0 for background, and -1 for padding, which is not drawn.
    """
    canvas = Canvas(image, _THIN)
    for box in anchors[labels == 0]:
        canvas.dot(box, GREY)
    for box in anchors[labels == 1]:
        canvas.box(box, class_colour(1))
    canvas.caption(f"{np.sum(labels == 1)} anchors of objects, {np.sum(labels == 0)} of background")
    return canvas.finished()


def draw_proposals(image: np.ndarray, proposals: np.ndarray) -> Image.Image:
    """Proposals [P, 4], best first: the better, the nearer to the first class's colour."""
    canvas = Canvas(image, _THIN)
    best, last = np.array(class_colour(1)), np.array(GREY)
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
    canvas = Canvas(
        np.pad(image, ((down, down), (across, across), (0, 0)), constant_values=GREY[0])
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
    canvas = Canvas(image)
    for box in boxes:
        canvas.box(box, WHITE)
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
