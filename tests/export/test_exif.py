"""EXIF orientation as the graph reads it, against Pillow."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_frcnn.data.images import EXIF_ORIENTATION_TAG, open_image
from keras_frcnn.export import exif, inputs
from tests.export.requests import encoded, photograph

orientation = tf.function(
    exif.orientation, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)
decode = tf.function(
    lambda file: inputs.decode(file, tf.constant(0), 10**6),
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
)


def note(value, **others):
    tags = Image.Exif()
    tags[0x010F] = "Maker of cameras"
    tags[EXIF_ORIENTATION_TAG] = value
    return tags


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("value", range(10))
def test_upright_as_pillow_and_this_package_have_it(format, value, tmp_path):
    file = encoded(photograph(31, 44), format, exif=note(value))
    assert orientation(file).numpy() == (value if 1 <= value <= 8 else 1)
    (tmp_path / "image").write_bytes(file)
    np.testing.assert_array_equal(decode(file), open_image(tmp_path / "image"))


def jpeg_with(*segments):
    """A JPEG file with segments (marker, content) right after its start."""
    plain = encoded(photograph(8, 8), "JPEG")
    added = (struct.pack(">HH", m, len(c) + 2) + c for m, c in segments)
    return plain[:2] + b"".join(added) + plain[2:]


def tiff(order, entries):
    """A TIFF structure of (tag, type, count, value field of 4 bytes)."""
    o = {"II": "<", "MM": ">"}[order]
    content = order.encode() + struct.pack(f"{o}HI", 42, 8) + struct.pack(f"{o}H", len(entries))
    return content + b"".join(struct.pack(f"{o}HHI", *e[:3]) + e[3] for e in entries) + bytes(4)


SHORT_6 = {"II": struct.pack("<HH", 6, 0), "MM": struct.pack(">HH", 6, 0)}
LONG_6 = {"II": struct.pack("<I", 6), "MM": struct.pack(">I", 6)}


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", [3, 4])
def test_both_byte_orders_and_types(order, kind):
    value = {3: SHORT_6, 4: LONG_6}[kind][order]
    entries = [(0x0100, 3, 1, bytes(4)), (EXIF_ORIENTATION_TAG, kind, 1, value)]
    file = jpeg_with(
        (0xFFE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        (0xFFE1, b"Exif\0\0" + tiff(order, entries)),
    )
    assert Image.open(io.BytesIO(file)).getexif()[EXIF_ORIENTATION_TAG] == 6
    assert orientation(file).numpy() == 6


@pytest.mark.parametrize(
    "content",
    [
        b"Exif\0\0",
        b"Exif\0\0II",
        b"Exif\0\0" + tiff("II", []),
        b"Exif\0\0" + tiff("II", [(EXIF_ORIENTATION_TAG, 3, 1, SHORT_6["II"])])[:12],
        b"Exif\0\0II\x2a\0\xff\xff\xff\xff",  # a directory beyond the end
        b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff" + bytes(40),  # more entries than there are bytes
    ],
)
def test_damaged_notes_are_passed_over(content):
    assert orientation(jpeg_with((0xFFE1, content))).numpy() == 1


def test_fill_bytes_before_a_marker():
    exif_segment = b"Exif\0\0" + tiff("MM", [(EXIF_ORIENTATION_TAG, 3, 1, SHORT_6["MM"])])
    file = jpeg_with((0xFFE1, exif_segment))
    assert orientation(file[:2] + b"\xff\xff\xff" + file[2:]).numpy() == 6


def test_files_of_many_segments_end():
    assert orientation(b"\xff\xd8" + b"\xff\xe0\0\x02" * 100_000).numpy() == 1
    assert orientation(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0teXt\0\0\0\0" * 100_000).numpy() == 1
