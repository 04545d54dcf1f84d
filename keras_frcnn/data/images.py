"""Image files to RGB arrays: one reader for NumPy and one for `tf.data`, which agree.

Both give uint8 RGB [H, W, 3] of the upright image. Grey is repeated, alpha is dropped, 16-bit
samples keep their high byte, CMYK is converted without a colour profile.
"""

import io
import os
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_frcnn.data import png
from keras_frcnn.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

EXIF_ORIENTATION_TAG = 0x0112

# What EXIF orientation 1..8 asks for: swap the axes first, then flip them (EXIF 2.32, 4.6.4 A).
TRANSPOSED = (5, 6, 7, 8)
FLIPPED_LEFT_RIGHT = (2, 3, 6, 7)
FLIPPED_UP_DOWN = (3, 4, 7, 8)

# Multi-picture JPEG (MPO) is what many cameras write; its first picture is an ordinary JPEG.
TRAINING_FORMATS = ("JPEG", "MPO", "PNG")

# TensorFlow decodes less than 2^29 numbers, three a pixel; Pillow has the same limit.
MAX_PIXELS = ((1 << 29) - 1) // 3


class ImageHeader(NamedTuple):
    """What the first bytes of an image file tell."""

    format: str  # Pillow's name, such as "JPEG"
    height: int  # pixels as stored, before `orientation` is applied
    width: int
    orientation: int  # EXIF orientation, 1 to 8


def read_header(path: str | os.PathLike, content: bytes | None = None) -> ImageHeader:
    """Size and EXIF orientation of an image file, without decoding its pixels.

    Args:
        path: of the file; only its name in messages where `content` is given.
        content: of the file, where somebody else has read it.

    Raises:
        InputError: the file is missing or no image.
    """
    with _open(path, content) as image:
        return ImageHeader(image.format, image.height, image.width, _orientation(image))


def read_image(
    path: str | os.PathLike, orientation: int = 1, content: bytes | None = None
) -> np.ndarray:
    """Reads an image file as uint8 RGB [H, W, 3], turned as the EXIF `orientation` (1..8) says.

    `path` and `content` are as in `read_header`.

    Raises:
        InputError: the file is missing, truncated or no image.
    """
    with _open(path, content) as image:
        return orient(_rgb(image, path), orientation)


def open_image(path: str | os.PathLike, content: bytes | None = None) -> np.ndarray:
    """Reads an image file as uint8 RGB [H, W, 3], upright by the file's own EXIF orientation.

    `path` and `content` are as in `read_header`.

    Raises:
        InputError: the file is missing, truncated or no image.
    """
    with _open(path, content) as image:
        orientation = _orientation(image)
        return orient(_rgb(image, path), orientation)


def orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels [H, W, ...] upright, for EXIF `orientation` 1 to 8."""
    if orientation in TRANSPOSED:
        image = image.swapaxes(0, 1)
    if orientation in FLIPPED_LEFT_RIGHT:
        image = image[:, ::-1]
    if orientation in FLIPPED_UP_DOWN:
        image = image[::-1]
    return np.ascontiguousarray(image)


def decode_image(encoded: "tf.Tensor", orientation: "tf.Tensor | int" = 1) -> "tf.Tensor":
    """Decodes a JPEG or PNG file's bytes to uint8 RGB [H, W, 3] in TensorFlow ops only.

    Args:
        encoded: string scalar, the bytes of the file.
        orientation: integer scalar, the EXIF orientation (1..8) to apply.
    """
    return turn(decode_stored(encoded), orientation)


def decode_stored(encoded: "tf.Tensor") -> "tf.Tensor":
    """As `decode_image`, the pixels as they are stored."""
    import tensorflow as tf

    # The op reads PNG as well. Its default inverse DCT trades accuracy for time and would
    # differ from Pillow's by several grey levels.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def turn(image: "tf.Tensor", orientation: "tf.Tensor | int") -> "tf.Tensor":
    """As `orient`, in TensorFlow ops only."""
    import tensorflow as tf

    def upright():
        turned = tf.cond(
            tf.reduce_any(tf.equal(orientation, TRANSPOSED)),
            lambda: tf.transpose(image, [1, 0, 2]),
            lambda: image,
        )
        return turned[:: step(FLIPPED_UP_DOWN), :: step(FLIPPED_LEFT_RIGHT)]

    def step(orientations):  # of a slice along an axis: -1 flips it
        return tf.where(tf.reduce_any(tf.equal(orientation, orientations)), -1, 1)

    image = tf.cond(tf.equal(orientation, 1), lambda: image, upright)
    return tf.ensure_shape(image, [None, None, 3])  # which unknown steps make it forget


@contextmanager
def _open(path, content):
    """`PIL.Image.open` whose errors, also those inside the `with` block, name the file.

    Of a PNG file it opens what TensorFlow would decode of it.
    """
    try:
        with open(path, "rb") if content is None else io.BytesIO(content) as file:
            start = file.read(len(png.SIGNATURE))
            file.seek(0)
            is_png = start == png.SIGNATURE
            with Image.open(io.BytesIO(png.pixels_only(file.read())) if is_png else file) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                if is_png:
                    png.check_size(image.width, image.height)
                yield image
    except FileNotFoundError:
        is_link = os.path.islink(path)
        what = "is a link to a file that is missing" if is_link else "there is no such image file"
        raise InputError(f"{path}: {what}") from None
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(
            f"{path}: the image is too large, at most {MAX_PIXELS:,} pixels are read; scale it down"
        ) from None
    except (
        OSError,
        ValueError,
        EOFError,
        SyntaxError,  # Pillow's word for a broken PNG
        struct.error,
        zlib.error,
    ) as error:
        if getattr(error, "errno", None):  # of the system, not of what is in the file
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(
            f"{path}: cannot be read as an image, truncated or in another format ({reason})"
        ) from error


def _orientation(image):
    # `getexif` would decode a whole PNG to look behind its pixels, so only what stands before
    # them counts there.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION_TAG, 1)
    except Exception:  # whatever Pillow raises on EXIF data that are none
        return 1
    return orientation if orientation in range(1, 9) else 1


def _rgb(image, path):
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # Pillow's own conversion of 16-bit grey clips at 255.
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise InputError(f"{path}: has 32-bit samples of unknown range; save it with 8 or 16 bits")
    if image.mode == "CMYK":
        light = 255 - np.asarray(image).astype(np.uint16)  # that the inks leave
        if image.format in ("JPEG", "MPO") and "adobe" not in image.info:
            # Adobe writes inverted inks and marks such files; Pillow takes all JPEGs for these.
            light = 255 - light
        # Rounded as in TensorFlow, which Pillow's conversion is not.
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
    image.info.pop("transparency", None)  # alpha is dropped in every mode
    return np.array(image.convert("RGB"))
