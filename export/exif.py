"""The EXIF orientation of a JPEG or PNG file, read in TensorFlow's built-in ops.

Phones store pictures as the sensor saw them and note in the file how to turn them. No op of
TensorFlow reads that note, so the graph walks through the file to it: segments of a JPEG (ITU T.81,
annex B) or chunks of a PNG (W3C PNG, section 5), then the TIFF directory inside (EXIF 2.32, 4.6).
"""

import tensorflow as tf

from keras_frcnn.data.images import EXIF_ORIENTATION_TAG

# The standard wants EXIF first. The limit keeps a file of millions of segments from taking long.
MAX_SEGMENTS = 64

IN_JPEG, IN_PNG = b"Exif\0\0", b"eXIf"  # before the note in either format

SHORT = 3  # the TIFF type of 16 bits


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """EXIF orientation, int64 scalar from 1 to 8; 1 where the file notes none or a wrong one.

    Args:
        encoded: string scalar, the bytes of a JPEG or PNG file.
    """

    def look_up():
        data = _Bytes(encoded)
        is_jpeg = data.number(0, 2) == 0xFFD8
        tiff = tf.cond(is_jpeg, lambda: _tiff_in_jpeg(data), lambda: _tiff_in_png(data))
        found = tf.cond(tiff > 0, lambda: _tag(data, tiff), lambda: tf.constant(1, tf.int64))
        return tf.where((found >= 1) & (found <= 8), found, 1)

    # Walking through the file takes as long as decoding a small one, and few need it.
    may_have = _holds(encoded, IN_JPEG) | _holds(encoded, IN_PNG)
    return tf.cond(may_have, look_up, lambda: tf.constant(1, tf.int64))


def _holds(encoded, part):
    return tf.size(tf.strings.split(encoded, part, maxsplit=1)) > 1


class _Bytes:
    """The bytes of a file as integers; those beyond its end are 0."""

    def __init__(self, encoded):
        # A zero to fall on.
        self.values = tf.concat([tf.io.decode_raw(encoded, tf.uint8), [0]], axis=0)
        self.size = tf.size(self.values, tf.int64) - 1

    def number(self, position, count, little_endian=False):
        """Unsigned integers of `count` bytes at the positions given, of any shape."""
        position = tf.cast(position, tf.int64)
        steps = tf.range(count, dtype=tf.int64)
        index = tf.minimum(position[..., None] + steps, self.size)
        values = tf.cast(tf.gather(self.values, index), tf.int64)
        power = tf.where(little_endian, steps, count - 1 - steps)
        return tf.reduce_sum(tf.bitwise.left_shift(values, 8 * power), axis=-1)


def _tiff_in_jpeg(data):
    """Where the TIFF structure begins, or 0."""

    def is_exif(position):
        marker = data.number(position, 2) == 0xFFE1
        return marker & (data.number(position + 4, 6) == int.from_bytes(IN_JPEG, "big"))

    def goes_on(position):
        marker = data.number(position, 2)
        # Not past the start of the scan, nor where there is no marker at all.
        is_segment = (marker > 0xFF00) & (marker != 0xFFDA)
        return is_segment & ~is_exif(position) & (position < data.size)

    def next_segment(position):
        fill = data.number(position, 2) == 0xFFFF  # markers may be preceded by fill bytes
        return [tf.where(fill, position + 1, position + 2 + data.number(position + 2, 2))]

    start = tf.constant(2, tf.int64)
    (end,) = tf.while_loop(goes_on, next_segment, [start], maximum_iterations=MAX_SEGMENTS)
    return tf.where(is_exif(end), end + 10, 0)


def _tiff_in_png(data):
    """Where the TIFF structure begins, or 0; chunks behind the pixels do not count."""

    def kind(position):
        return data.number(position + 4, 4)

    exif, pixels = (int.from_bytes(name, "big") for name in (IN_PNG, b"IDAT"))

    def goes_on(position):
        return (kind(position) != exif) & (kind(position) != pixels) & (position < data.size)

    def next_chunk(position):
        return [position + 12 + data.number(position, 4)]

    start = tf.constant(8, tf.int64)
    (end,) = tf.while_loop(goes_on, next_chunk, [start], maximum_iterations=MAX_SEGMENTS)
    return tf.where(kind(end) == exif, end + 8, 0)


def _tag(data, tiff):
    """The orientation in the first directory of the TIFF structure, or 0."""
    little = data.number(tiff, 2) == 0x4949  # "II" and not "MM"
    directory = tiff + data.number(tiff + 4, 4, little)
    count = data.number(directory, 2, little)
    entries = directory + 2 + 12 * tf.range(count)
    entries = tf.boolean_mask(entries, data.number(entries, 2, little) == EXIF_ORIENTATION_TAG)

    def value():
        entry = entries[0]
        is_short = data.number(entry + 2, 2, little) == SHORT
        short, long = (data.number(entry + 8, n, little) for n in (2, 4))
        return tf.where(is_short, short, long)

    return tf.cond(tf.size(entries) > 0, value, lambda: tf.constant(0, tf.int64))
