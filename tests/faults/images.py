"""Image files: both decoders read the same, or the one that commands use first names the file."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_frcnn.data.dataset import Dataset, ImageRecord, ImageSet
from keras_frcnn.data.images import decode_image, read_header, read_image
from keras_frcnn.errors import InputError
from keras_frcnn.training.saving import unreadable_images_named
from tests.data.voc_files import photograph
from tests.faults.campaign import Lost, refusal_names
from tests.faults.mutations import mutated_bytes


def _encoded(format, **options):
    mode = options.pop("mode", "RGB")
    file = io.BytesIO()
    photograph(60, 44, seed=3).convert(mode).save(file, format, **options)
    return file.getvalue()


def _turned():
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


def jpeg(folder: Path):
    """Baseline, progressive, grey, CMYK, turned by EXIF."""
    files = [
        _encoded("JPEG", quality=90),
        _encoded("JPEG", progressive=True),
        _encoded("JPEG", mode="L", quality=30),
        _encoded("JPEG", mode="CMYK"),
        _encoded("JPEG", exif=_turned()),
    ]
    return _attempt(folder / "a.jpg", files)


def png(folder: Path):
    """Colour, palette, alpha, one bit, interlaced by none of Pillow's writers."""
    files = [_encoded("PNG", mode=mode) for mode in ("RGB", "P", "RGBA", "1", "L", "LA")]
    return _attempt(folder / "a.png", files)


def _check_training_names(path, header, error):
    """A file that TensorFlow alone refuses: a training that meets it says which it is."""
    record = ImageRecord(path.name, str(path), header.height, header.width, header.orientation)
    saving = SimpleNamespace(done=2)
    images = ImageSet(Dataset("files", ("one",), (record,)))
    try:
        with unreadable_images_named(saving, lambda step: [record], images):
            raise error
    except InputError as named:
        if str(path) not in str(named) or "step 3" not in str(named):
            raise Lost(f"the message names no file: {named}") from named


def _attempt(path, files):
    def attempt(rng):
        path.write_bytes(mutated_bytes(rng, files[rng.integers(len(files))]))
        by_pillow = by_tensorflow = header = None
        with refusal_names(path):
            header = read_header(path)
            by_pillow = read_image(path, header.orientation)
        if header is None or header.format not in ("JPEG", "MPO", "PNG"):
            return  # what training refuses before TensorFlow sees it
        try:
            by_tensorflow = decode_image(path.read_bytes(), header.orientation).numpy()
        except tf.errors.OpError as error:
            if by_pillow is not None:
                _check_training_names(path, header, error)
            return
        if by_pillow is None:
            return  # the search for proposals names the file
        if by_pillow.shape != by_tensorflow.shape:
            raise Lost(f"Pillow reads {by_pillow.shape}, TensorFlow {by_tensorflow.shape}")
        difference = np.abs(by_pillow.astype(int) - by_tensorflow).max(initial=0)
        with Image.open(path) as image:
            rounding = int(image.mode == "CMYK")
        if difference > rounding:
            raise Lost(f"the decoders differ by {difference} grey levels")

    return attempt
