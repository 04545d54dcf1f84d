"""Small data sets made of real files, for tests of what comes after reading."""

import numpy as np
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord

GREY = 120
OBJECT = (250, 10, 40)  # RGB


def colored_rectangles(folder, sizes, boxes, difficult=None, labels=None):
    """A data set of grey PNG files, image i of `sizes[i]` (height, width), whose objects
    `boxes[i]` (integers) are painted in one colour."""
    records = []
    for i, ((height, width), objects) in enumerate(zip(sizes, boxes, strict=True)):
        pixels = np.full((height, width, 3), GREY, np.uint8)
        for x1, y1, x2, y2 in objects:
            pixels[y1:y2, x1:x2] = OBJECT
        path = folder / f"{i}.png"
        Image.fromarray(pixels).save(path)
        records.append(
            ImageRecord(
                path.name,
                str(path),
                height,
                width,
                boxes=np.array(objects, np.float32).reshape(-1, 4),
                labels=np.array(labels[i] if labels else [1] * len(objects), np.int32),
                is_difficult=np.array(difficult[i] if difficult else [False] * len(objects), bool),
            )
        )
    return Dataset("rectangles", ("one", "two"), tuple(records))


def random_proposals(dataset, count=200, seed=0):
    """Boxes all over each image, and many near its objects."""
    rng = np.random.default_rng(seed)
    found = []
    for record in dataset.images:
        size = np.array([record.width, record.height])
        corners = np.sort(rng.uniform(0, 1, (count, 2, 2)) * size, axis=1).reshape(-1, 4)
        near = [b + rng.uniform(-6, 6, (count, 4)) for b in record.boxes]
        boxes = np.clip(np.concatenate([corners, *near]), 0, np.tile(size, 2))
        found.append(boxes[(boxes[:, 2:] - boxes[:, :2] > 2).all(axis=1)].astype(np.float32))
    return found
