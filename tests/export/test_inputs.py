"""What a request may not contain, and that a server goes on after it."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.export import inputs
from tests.export.requests import encoded, photograph, proposals_in

GOOD = encoded(photograph(30, 40))
BOX = [1, 2, 20, 25]


def png_of_one_colour(width, height):
    """A PNG file of a few bytes for every million pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    )


def refused(served, match, image_bytes, proposals=None, signature="serving_default"):
    if proposals is None:
        proposals = [[BOX]] * len(image_bytes)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        served[signature](
            image_bytes=tf.constant(image_bytes, tf.string),
            proposals=tf.constant(proposals, tf.float32),
        )
    answer = served["serving_default"](
        image_bytes=tf.constant([GOOD]), proposals=tf.constant([[BOX]], tf.float32)
    )
    assert answer["num_detections"].shape == (1,)


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (b"", "is neither a JPEG nor a PNG file"),
        (b"no image at all, whatever it may be called", "is neither a JPEG nor a PNG file"),
        (b"GIF89a" + bytes(50), "is neither a JPEG nor a PNG file"),
        (GOOD[:20], "is neither a JPEG nor a PNG file"),
        (GOOD[:-40], "is damaged or truncated"),
        (GOOD[:50] + bytes(30) + GOOD[80:], "is damaged or truncated"),
        (encoded(photograph(30, 40), "JPEG")[:-100], "is damaged or truncated"),
        (b"\xff\xd8\xff\xe0" + bytes(30), "has a damaged header"),
        (GOOD[:16] + struct.pack(">II", 0, 7) + GOOD[24:], "has a damaged header"),
        (GOOD[:16] + struct.pack(">II", 2**31 + 5, 7) + GOOD[24:], "has a damaged header"),
    ],
)
def test_a_bad_file_is_named(served, file, complaint):
    refused(served, rf"image_bytes\[1\] {complaint}", [GOOD, file, GOOD])


def test_a_decompression_bomb_is_not_decoded(served):
    bomb = png_of_one_colour(60_000, 50_000)
    assert len(bomb) < 1_000_000
    match = r"image_bytes\[1\] has 60000 x 50000 pixels, more than the 12000000"
    refused(served, match, [GOOD, bomb])


def test_the_size_limit_is_of_pixels_and_inclusive(served):
    images = tf.constant([png_of_one_colour(12_000, 1000)])
    served["serving_default"](image_bytes=images, proposals=tf.zeros([1, 0, 4]))
    refused(served, "has 12001 x 1000 pixels", [png_of_one_colour(12_001, 1000)])


@pytest.mark.parametrize(
    ("box", "complaint"),
    [
        ([np.nan, 2, 20, 25], "must be finite"),
        ([1, 2, np.inf, 25], "must be finite"),
        ([1, 2, 2.0**24 + 2, 25], "at most 2\\^24"),
        ([20, 2, 1, 25], "inverted"),
        ([1, 25, 20, 2], "inverted"),
        ([-1, -1, -1, -2], "inverted"),
    ],
)
@pytest.mark.parametrize("signature", ["serving_default", "raw"])
def test_a_bad_proposal_is_named(served, box, complaint, signature):
    proposals = [[BOX, BOX, [-1] * 4], [BOX, box, BOX]]
    match = rf"proposals\[1, 1\].*{complaint}"
    refused(served, match, [GOOD, GOOD], proposals, signature)


def test_bad_proposals_of_pixels(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"proposals\[0, 1\].*inverted"):
        served["detect_pixels"](
            images=photograph(30, 40)[None], proposals=tf.constant([[BOX, [9, 9, 3, 12.0]]])
        )


def test_rows_without_area_are_legal_and_detect_nothing(served):
    rows = tf.constant([[[5, 5, 5, 9], [5, 5, 9, 5], [3, 3, 3, 3], [-1] * 4]], tf.float32)
    out = served["serving_default"](image_bytes=tf.constant([GOOD]), proposals=rows)
    assert out["num_detections"].numpy().tolist() == [0]


def test_padding_between_proposals_changes_nothing(served):
    boxes = proposals_in(30, 40, 20)
    apart = np.insert(boxes, [0, 3, 3, 11], -1, axis=0)
    images = tf.constant([GOOD])
    plain = served["serving_default"](image_bytes=images, proposals=boxes[None])
    mixed = served["serving_default"](image_bytes=images, proposals=apart[None])
    for name, value in plain.items():
        np.testing.assert_allclose(mixed[name], value, atol=1e-5)


def test_empty_batches(served):
    refused(served, "empty batch: image_bytes holds no image", [], np.zeros((0, 3, 4)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="empty batch: images holds no image"):
        served["detect_pixels"](
            images=tf.zeros([0, 9, 9, 3], tf.uint8), proposals=tf.zeros([0, 3, 4])
        )


def test_images_and_proposals_of_different_number(served):
    refused(served, "image_bytes holds 2 images, proposals are of 1", [GOOD, GOOD], [[BOX]])


def test_the_number_of_proposals_is_limited(served):
    """To 20000 here: of one image after the other, of all images that run at once."""
    rows = np.tile(np.float32([-1]), [2, 20_000, 4])
    out = served["serving_default"](image_bytes=tf.constant([GOOD, GOOD]), proposals=rows)
    assert out["num_detections"].numpy().tolist() == [0, 0]
    more = np.pad(rows, [[0, 0], [0, 1], [0, 0]], constant_values=-1)
    for signature in ("serving_default", "raw"):
        refused(served, "20001 proposals, more than the 20000", [GOOD, GOOD], more, signature)
    pixels = np.stack([photograph(30, 40)] * 2)
    out = served["detect_pixels"](images=pixels, proposals=rows[:, :10_000])
    assert out["num_detections"].numpy().tolist() == [0, 0]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="40000 proposals, more than the 20000"
    ):
        served["detect_pixels"](images=pixels, proposals=tf.constant(rows))


def test_images_without_pixels(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="no pixels: they are 0 x 7"):
        served["detect_pixels"](
            images=tf.zeros([1, 7, 0, 3], tf.uint8), proposals=tf.zeros([1, 3, 4])
        )


@pytest.mark.parametrize(
    ("images", "proposals", "complaint"),
    [
        ([7, 9, 3], [1, 3, 4], r"\[7,9,3\] is not compatible with expected shape \[\?,\?,\?,3\]"),
        ([1, 7, 9, 4], [1, 3, 4], r"\[1,7,9,4\] is not compatible"),
        ([1, 7, 9, 3], [3, 4], r"\[3,4\] is not compatible with expected shape \[\?,\?,4\]"),
        ([1, 7, 9, 3], [1, 3, 5], r"\[1,3,5\] is not compatible"),
    ],
)
def test_wrong_ranks_reach_the_graph_of_a_server(images, proposals, complaint):
    """Python compares shapes before it calls the graph; a server's C++ does not."""
    check = tf.function(
        lambda images, proposals: inputs.check_pixels(images, proposals, 100),
        input_signature=[tf.TensorSpec(None, tf.uint8), tf.TensorSpec(None, tf.float32)],
        autograph=False,
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=complaint):
        check(tf.zeros(images, tf.uint8), tf.zeros(proposals))
