"""The images of a report: thumbnails, ground truth and what was found, for the page's script."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_frcnn.data.images import read_image
from keras_frcnn.progress_bar import counted
from keras_frcnn.report.content import Content, verdicts

SIDE = 360  # pixels of the longer side of a thumbnail
_QUALITY = 62  # of its JPEG: about 15 kB
MOST_BOXES = 40  # of an image, best first


def gallery(contents: Sequence[Content], count: int) -> list[dict[str, Any]]:
    """An entry for each of the worst images, the worst first.

    Of two contents, those images first in which they differ most.

    Args:
        contents: one or two, of the same images.
        count: how many images at most.
    """
    badness = np.array([content.badness for content in contents])
    order = badness[0] if len(contents) == 1 else np.abs(badness[0] - badness[1])
    chosen = np.argsort(-order, kind="stable")[:count]
    return [
        _entry(contents, place)
        for place in counted(chosen.tolist(), len(chosen), "thumbnails", leave=False)
    ]


def _entry(contents: Sequence[Content], place: int) -> dict[str, Any]:
    record = contents[0].dataset.images[place]
    objects = zip(record.boxes, record.labels, record.is_difficult, strict=True)
    return {
        "name": record.filename,
        "width": record.width,
        "height": record.height,
        "src": thumbnail(read_image(record.path, record.orientation)),
        "truth": [[int(k), int(difficult), *_rounded(box)] for box, k, difficult in objects],
        "found": [_found(content, place) for content in contents],
        "missed": [np.flatnonzero(c.errors.is_missed[place]).tolist() for c in contents],
        "badness": [round(float(content.badness[place]), 2) for content in contents],
    }


def _found(content: Content, place: int) -> list[list]:
    """Class, score, verdict and box of the best detections."""
    found = content.detections[place]
    said = verdicts(content.errors, place)
    best = np.argsort(-found.scores, kind="stable")[:MOST_BOXES].tolist()
    return [
        [
            int(found.classes[i]),
            round(float(found.scores[i]), 3),
            said[i],
            *_rounded(found.boxes[i]),
        ]
        for i in best
    ]


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(x), 1) for x in box]


def thumbnail(image: np.ndarray) -> str:
    """A data URI of the image, small."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
