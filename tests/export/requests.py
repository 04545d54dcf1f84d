"""Images, proposals and files for requests to an exported detector."""

import io

import numpy as np
from PIL import Image


def photograph(height, width, seed=0):
    """Blotches of colour: noise would be averaged to grey where large images are scaled."""
    rng = np.random.default_rng(seed)
    blotches = rng.integers(0, 256, (min(height, 12), min(width, 12), 3), dtype=np.uint8)
    return np.array(Image.fromarray(blotches).resize((width, height), Image.Resampling.BICUBIC))


def proposals_in(height, width, count, seed=0):
    corners = np.random.default_rng(seed).uniform(0, 1, (count, 2, 2)) * [width, height]
    return np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)


def padded(proposals):
    """Lists of boxes of different lengths as one array."""
    rows = np.full((len(proposals), max(map(len, proposals), default=0), 4), -1, np.float32)
    for row, boxes in zip(rows, proposals, strict=True):
        row[: len(boxes)] = boxes
    return rows


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return file.getvalue()
