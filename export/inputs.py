"""Checks and decoding of what a request brings, in TensorFlow's built-in ops.

A request is refused with an InvalidArgument that names the element when

- the batch is empty, or `image_bytes` (`images`) and `proposals` differ in their number of rows,
- a tensor has another rank than the signature says, or `images` have no pixels,
- an element of `image_bytes` is neither JPEG nor PNG, is damaged or truncated, or would decode to
  more pixels than allowed, which its header tells before any pixel is decoded,
- a proposal is not finite, inverted (x2 < x1 or y2 < y1) or beyond 2^24 pixels, from where on
  float32 does not tell neighbouring pixels apart. Rows of four -1 are padding and legal.

Shape letters: N images, R proposals an image.
"""

import tensorflow as tf

from keras_frcnn.data.images import decode_image
from keras_frcnn.export.exif import orientation

MAX_PIXELS = 50_000_000  # decoded 150 MB, and 600 MB on the way to the network's size
MAX_COORDINATE = float(1 << 24)

PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def check_encoded(image_bytes: tf.Tensor, proposals: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The arguments, once they are known to be [N] and [N, R, 4] and all proposals are legal."""
    image_bytes = tf.ensure_shape(image_bytes, [None])
    count = tf.size(image_bytes)
    return tuple(_checked([image_bytes, proposals], "image_bytes", count))


def check_pixels(images: tf.Tensor, proposals: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `check_encoded` for images [N, H, W, 3]."""
    images = tf.ensure_shape(images, [None, None, None, 3])
    count, height, width = tf.unstack(tf.shape(images)[:3])
    images, proposals = _checked([images, proposals], "images", count)
    message = tf.strings.format("images have no pixels: they are {} x {}", (width, height))
    with tf.control_dependencies([_require(height * width > 0, message)]):
        return tf.identity(images), proposals


def is_padding(proposals: tf.Tensor) -> tf.Tensor:
    """Which rows [..., 4] only fill up a batch: [...] bool."""
    return tf.reduce_all(proposals == -1.0, axis=-1)


def decode(encoded: tf.Tensor, index: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The upright image in a JPEG or PNG file, uint8 RGB [H, W, 3].

    Args:
        encoded: string scalar, the bytes of the file.
        index: its place in the batch, for messages.
        max_pixels: height times width at most.
    """
    name = tf.strings.format("image_bytes[{}]", index)
    is_jpeg = _starts_with(encoded, b"\xff\xd8\xff")
    is_png = _starts_with(encoded, PNG_START) & (tf.strings.length(encoded) > 24)
    known = _require(is_jpeg | is_png, name + " is neither a JPEG nor a PNG file")
    with tf.control_dependencies([known]):
        size = tf.cond(is_jpeg, lambda: _jpeg_size(encoded), lambda: _png_size(encoded))
    height, width = size[0], size[1]
    healthy = _require((height > 0) & (width > 0), name + " has a damaged header")
    large = tf.strings.format(
        " has {} x {} pixels, more than the {} that this model takes", (width, height, max_pixels)
    )
    with tf.control_dependencies([healthy, _require(height * width <= max_pixels, name + large)]):
        encoded = tf.identity(encoded)
    image = _or_empty(lambda x: decode_image(x, orientation(x)), encoded, [0, 0, 3], tf.uint8)
    whole = _require(tf.size(image) > 0, name + " is damaged or truncated")
    with tf.control_dependencies([whole]):
        return tf.identity(image)


def _checked(tensors, name, count):
    """`tensors`, the proposals last, after the checks that both kinds of images share."""
    *rest, proposals = tensors
    proposals = tf.ensure_shape(proposals, [None, None, 4])
    rows = tf.shape(proposals)[0]
    checks = [
        _require(count > 0, f"empty batch: {name} holds no image"),
        _require(
            rows == count,
            tf.strings.format(name + " holds {} images, proposals are of {}", (count, rows)),
        ),
        _require_rows(
            tf.reduce_all(tf.abs(proposals) <= MAX_COORDINATE, axis=-1),
            proposals,
            "coordinates must be finite and at most 2^24 pixels",
        ),
        _require_rows(
            tf.reduce_all(proposals[..., 2:] >= proposals[..., :2], axis=-1),
            proposals,
            "inverted; boxes are (x1, y1, x2, y2), and rows of padding four times -1",
        ),
    ]
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in (*rest, proposals)]


def _require_rows(good, proposals, complaint):
    bad = tf.where(~good)
    n, r = tf.unstack(tf.pad(bad, [[0, 1], [0, 0]])[0])  # zeros where there is none
    box = tf.reshape(tf.gather_nd(proposals, bad[:1]), [-1])
    message = tf.strings.format("proposals[{}, {}] is {}: " + complaint, (n, r, box))
    return _require(tf.reduce_all(good), message)


def _require(condition, message):
    return tf.debugging.Assert(condition, [message])


def _starts_with(encoded, start):
    return tf.strings.substr(encoded, 0, len(start)) == start


def _jpeg_size(encoded):
    shape = _or_empty(lambda x: tf.image.extract_jpeg_shape(x), encoded, [3], tf.int32)
    return tf.cast(shape[:2], tf.int64)


def _png_size(encoded):
    width_and_height = tf.io.decode_raw(
        tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )
    return tf.cast(width_and_height[::-1], tf.int64)


def _or_empty(function, encoded, shape, dtype):
    """`function(encoded)`, or zeros of `shape` where it fails.

    A decoder's own error does not know which element of the batch it is about. A data set of one
    element that skips errors is the only op that turns a failure into a value.
    """
    results = tf.data.Dataset.from_tensors(encoded).map(function).ignore_errors()
    return results.reduce(tf.zeros(shape, dtype), lambda _, result: result)
