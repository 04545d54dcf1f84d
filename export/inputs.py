"""Checks and decoding of what a request brings, in TensorFlow's built-in ops.

A request is refused with an InvalidArgument that names the element when

- the batch is empty, or `image_bytes` (`images`) and `proposals` differ in their number of rows,
- a tensor has another rank than the signature says, or `images` have no pixels,
- more proposals would run at once than allowed, since memory grows with their number: those of an
  image of `image_bytes`, and those of all `images`,
- the model makes its own proposals and `images` have more pixels than allowed,
- an element of `image_bytes` is neither JPEG nor PNG, is damaged or truncated, or would decode to
  more pixels than allowed, which its header tells before any pixel is decoded,
- a proposal is not finite, inverted (x2 < x1 or y2 < y1) or beyond 2^24 pixels, from where on
  float32 does not tell neighbouring pixels apart. Rows of four -1 are padding and legal.

Where a model makes its own proposals there are none in the request, and nothing is said of them.

Shape letters: N images, R proposals an image.
"""

import tensorflow as tf

from keras_frcnn.data.images import decode_stored, turn
from keras_frcnn.export.exif import orientation

MAX_PIXELS = 50_000_000  # decoded 150 MB, and 600 MB on the way to the network's size
MAX_PROPOSALS = 20_000  # at once; VGG16 takes about 230 KB for each
MAX_COORDINATE = float(1 << 24)

TOO_LARGE = "{} x {} pixels, more than the {} that this model takes"

PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def check_encoded(
    image_bytes: tf.Tensor, *proposals: tf.Tensor, max_proposals: int | None
) -> list[tf.Tensor]:
    """The arguments, once they are known to be [N] and [N, R, 4] and all proposals are legal.

    Args:
        image_bytes, proposals: of the request; no proposals where the model makes its own.
        max_proposals: R at most.
    """
    image_bytes = tf.ensure_shape(image_bytes, [None])
    if not proposals:
        return [_not_empty(image_bytes, "image_bytes", tf.size(image_bytes))]
    proposals = tf.ensure_shape(proposals[0], [None, None, 4])
    together = tf.shape(proposals, tf.int64)[1]  # one image runs after the other
    count = tf.size(image_bytes)
    limit = together, max_proposals
    return _checked([image_bytes, proposals], "image_bytes", count, limit)


def check_pixels(
    images: tf.Tensor, proposals: tf.Tensor, max_proposals: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `check_encoded` for images [N, H, W, 3], which run at once: `max_proposals` is of N R."""
    images = tf.ensure_shape(images, [None, None, None, 3])
    proposals = tf.ensure_shape(proposals, [None, None, 4])
    together = tf.reduce_prod(tf.shape(proposals, tf.int64)[:2])
    count, height, width = tf.unstack(tf.shape(images)[:3])
    limit = together, max_proposals
    images, proposals = _checked([images, proposals], "images", count, limit)
    with tf.control_dependencies([_require_pixels(height, width)]):
        return tf.identity(images), proposals


def check_pixels_alone(images: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """As `check_pixels` without proposals; `max_pixels` is H W at most."""
    images = tf.ensure_shape(images, [None, None, None, 3])
    count, height, width = tf.unstack(tf.shape(images)[:3])
    images = _not_empty(images, "images", count)

    def large():
        size = width, height, max_pixels
        return tf.strings.format("images have " + TOO_LARGE, size)

    area = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    checks = [_require_pixels(height, width), _require(area <= max_pixels, large)]
    with tf.control_dependencies(checks):
        return tf.identity(images)


def decode(encoded: tf.Tensor, index: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """The upright image in a JPEG or PNG file, uint8 RGB [H, W, 3].

    Args:
        encoded: string scalar, the bytes of the file.
        index: its place in the batch, for messages.
        max_pixels: height times width at most.
    """

    def complain(text, *numbers):
        return lambda: tf.strings.format("image_bytes[{}] " + text, (index, *numbers))

    is_jpeg = _starts_with(encoded, b"\xff\xd8\xff")
    is_png = _starts_with(encoded, PNG_START) & (tf.strings.length(encoded) > 24)
    known = _require(is_jpeg | is_png, complain("is neither a JPEG nor a PNG file"))
    with tf.control_dependencies([known]):
        size = tf.cond(is_jpeg, lambda: _jpeg_size(encoded), lambda: _png_size(encoded))
    large = complain("has " + TOO_LARGE, size[1], size[0], max_pixels)
    checks = [
        _require(tf.reduce_all(size > 0), complain("has a damaged header")),
        _require(tf.reduce_prod(tf.maximum(size, 0)) <= max_pixels, large),
    ]
    with tf.control_dependencies(checks):
        encoded = tf.identity(encoded)
    image = _or_otherwise(decode_stored, encoded, tf.zeros([0, 0, 3], tf.uint8))
    whole = _require(tf.size(image) > 0, complain("is damaged or truncated"))
    with tf.control_dependencies([whole]):
        return turn(image, orientation(encoded))


def _checked(tensors, name, count, limit):
    """`tensors`, the proposals last, after the checks that both kinds of images share.

    `limit`: how many proposals run at once, and how many may.
    """
    *rest, proposals = tensors
    rows = tf.shape(proposals)[0]
    format = tf.strings.format
    size_checks = [
        _require_images(count, name),
        _require(
            rows == count,
            lambda: format(name + " holds {} images, proposals are of {}", (count, rows)),
        ),
        _require(
            limit[0] <= limit[1],
            lambda: format("{} proposals, more than the {} that this model takes at once", limit),
        ),
    ]
    with tf.control_dependencies(size_checks):
        proposals = tf.identity(proposals)
    checks = [
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


def _not_empty(images, name, count):
    """`images`, once they are known to be some."""
    with tf.control_dependencies([_require_images(count, name)]):
        return tf.identity(images)


def _require_images(count, name):
    return _require(count > 0, lambda: tf.constant(f"empty batch: {name} holds no image"))


def _require_pixels(height, width):
    def message():
        return tf.strings.format("images have no pixels: they are {} x {}", (width, height))

    return _require((height > 0) & (width > 0), message)


def _require_rows(good, proposals, complaint):
    def message():
        n, r = tf.unstack(tf.where(~good)[0])
        template = "proposals[{}, {}] is {}: " + complaint
        return tf.strings.format(template, (n, r, proposals[n, r]))

    return _require(tf.reduce_all(good), message)


def _require(condition, message):
    """An op that fails with what `message()` says, which is not made up before that."""

    def fail():
        return tf.raw_ops.Assert(condition=False, data=[message()])

    return tf.cond(condition, tf.no_op, fail)


def _starts_with(encoded, start):
    return tf.strings.substr(encoded, 0, len(start)) == start


def _jpeg_size(encoded):
    no_size = tf.zeros([3], tf.int64)
    return _or_otherwise(lambda x: tf.image.extract_jpeg_shape(x, tf.int64), encoded, no_size)[:2]


def _png_size(encoded):
    width_and_height = tf.io.decode_raw(
        tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )
    return tf.cast(width_and_height[::-1], tf.int64)


def _or_otherwise(function, encoded, otherwise):
    """`function(encoded)`, or what is given where it fails.

    A decoder's own error does not know which element of the batch it is about. A data set that
    skips errors is the only op that turns a failure into a value. It is read by
    `get_single_element`, which runs it as it stands; `reduce` and iterators optimize its graph anew
    in every call, which takes as long as decoding two hundred photographs. `function` should be a
    single op: in every call the data set looks up the kernels of all that it is made of.
    """
    results = tf.data.Dataset.from_tensors(encoded).map(function).ignore_errors()
    return results.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()
