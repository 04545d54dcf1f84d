"""The generated data set `shapes`: six kinds of shapes in photograph-like clutter, in VOC format.

The same seed gives the same bytes, as long as NumPy, OpenCV and Pillow with its JPEG library stay
the same; another version of one of them may draw or encode a pixel differently.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from keras_frcnn.data.shapes_drawing import Shape, draw_picture
from keras_frcnn.data.voc_masks import write_objects
from keras_frcnn.data.voc_writer import (
    WrittenObject,
    cached_folder,
    write_annotation,
    write_split,
)
from keras_frcnn.progress_bar import progress_bar

# Part of the folder's name: raise it with every change to the pictures or their annotations.
VERSION = 4

JPEG_QUALITY = 92


def generate(trainval: int = 400, test: int = 100, seed: int = 0) -> Path:
    """Makes the data set in the cache folder on first use, and returns its folder.

    The folder is in VOC format, with the splits `trainval` and `test`. Picture i of a split is the
    same however many pictures there are.

    Args:
        trainval: number of pictures in the split `trainval`.
        test: number of pictures in the split `test`.
        seed: of the random numbers behind the pictures.
    """
    splits = {"trainval": trainval, "test": test}

    def write(folder: Path) -> None:
        with progress_bar(trainval + test, "drawing shapes", "picture") as progress:
            for stream, (split, count) in enumerate(splits.items()):
                ids = [f"{split}_{i:05d}" for i in range(count)]
                for i, image_id in enumerate(ids):
                    rng = np.random.default_rng([seed, stream, i])
                    _write_picture(folder, image_id, *draw_picture(rng))
                    progress.update()
                write_split(folder, split, ids)

    return cached_folder(f"shapes-v{VERSION}-trainval{trainval}-test{test}-seed{seed}", write)


def _write_picture(folder: Path, image_id: str, image: np.ndarray, shapes: list[Shape]) -> None:
    filename = f"{image_id}.jpg"
    Image.fromarray(image).save(folder / "JPEGImages" / filename, quality=JPEG_QUALITY)
    objects = []
    for shape in shapes:
        x1, y1, x2, y2 = shape.box()
        bndbox = (x1 + 1, y1 + 1, x2, y2)  # 1-based and inclusive
        objects.append(WrittenObject(shape.name, bndbox, shape.truncated, difficult=False))
    write_annotation(folder, filename, image.shape[:2], objects)
    write_objects(folder, image_id, [shape.bitmap() for shape in shapes])
