"""The generated data set `shapes`: six kinds of shapes in photograph-like clutter, in VOC format.

The same seed gives the same bytes, as long as NumPy, OpenCV and Pillow with its JPEG library stay
the same; another version of one of them may draw or encode a pixel differently.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from keras_frcnn.data.shapes_drawing import Shape, draw_picture
from keras_frcnn.paths import cache_dir

# Part of the folder's name: raise it with every change to the pictures or their annotations.
VERSION = 1

JPEG_QUALITY = 92


def generate(trainval: int = 400, test: int = 100, seed: int = 0) -> Path:
    """Makes the data set in the cache folder on first use, and returns its folder.

    The folder is in VOC format (JPEGImages, Annotations, ImageSets/Main with `trainval` and
    `test`). Picture i of a split is the same however many pictures there are.

    Args:
        trainval: number of pictures in the split `trainval`.
        test: number of pictures in the split `test`.
        seed: of the random numbers behind the pictures.
    """
    name = f"shapes-v{VERSION}-seed{seed}-trainval{trainval}-test{test}"
    folder = cache_dir() / "data" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    try:
        _write(unfinished, {"trainval": trainval, "test": test}, seed)
        os.chmod(unfinished, 0o755)  # mkdtemp leaves it to its owner alone
        try:
            os.replace(unfinished, folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster with the same bytes
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(folder: Path, sizes: dict[str, int], seed: int) -> None:
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    with tqdm(total=sum(sizes.values()), desc="drawing shapes", unit="picture") as progress:
        for stream, (split, size) in enumerate(sizes.items()):
            ids = [f"{split}_{i:05d}" for i in range(size)]
            for i, image_id in enumerate(ids):
                image, shapes = draw_picture(np.random.default_rng([seed, stream, i]))
                image_file = folder / "JPEGImages" / f"{image_id}.jpg"
                Image.fromarray(image).save(image_file, quality=JPEG_QUALITY)
                xml = _annotation(image_file.name, image.shape, shapes)
                (folder / "Annotations" / f"{image_id}.xml").write_text(xml, encoding="utf-8")
                progress.update()
            lines = "".join(f"{image_id}\n" for image_id in ids)
            (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")


def _annotation(filename: str, image_shape: tuple[int, ...], shapes: list[Shape]) -> str:
    height, width, depth = image_shape
    objects = []
    for shape in shapes:
        x1, y1, x2, y2 = shape.box()
        objects.append(
            f"""\
    <object>
        <name>{shape.name}</name>
        <truncated>{shape.truncated:d}</truncated>
        <difficult>0</difficult>
        <bndbox>
            <xmin>{x1 + 1}</xmin>
            <ymin>{y1 + 1}</ymin>
            <xmax>{x2}</xmax>
            <ymax>{y2}</ymax>
        </bndbox>
    </object>
"""
        )
    return f"""\
<annotation>
    <filename>{filename}</filename>
    <size>
        <width>{width}</width>
        <height>{height}</height>
        <depth>{depth}</depth>
    </size>
{"".join(objects)}</annotation>
"""
