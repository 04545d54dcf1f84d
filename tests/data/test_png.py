"""PNG files damaged in every part: Pillow reads what TensorFlow reads, to the bit."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.data import png
from keras_frcnn.data.images import decode_image, read_header, read_image
from keras_frcnn.errors import InputError
from tests.data.test_images import png_chunk

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
HEADER = struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0)
DATA = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS))
PALETTE = png_chunk(b"PLTE", bytes(range(9)))
IHDR, IDAT, IEND = png_chunk(b"IHDR", HEADER), png_chunk(b"IDAT", DATA), png_chunk(b"IEND", b"")


def broken(chunk):
    """The chunk with a wrong checksum."""
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def halves(*between):
    first, second = DATA[: len(DATA) // 2], DATA[len(DATA) // 2 :]
    return [IHDR, png_chunk(b"IDAT", first), *between, png_chunk(b"IDAT", second), IEND]


TEXT = png_chunk(b"tEXt", b"Comment\0hello")
READABLE = {
    "plain": [IHDR, IDAT, IEND],
    "two chunks of data": halves(),
    "trailing bytes": [IHDR, IDAT, IEND, b"more"],
    "wrong checksum of a text": [IHDR, broken(TEXT), IDAT, IEND],
    "wrong checksum of a text at the end": [IHDR, IDAT, broken(TEXT), IEND],
    "wrong checksum of the resolution": [IHDR, broken(png_chunk(b"pHYs", bytes(9))), IDAT, IEND],
    "short resolution": [IHDR, png_chunk(b"pHYs", b"\0"), IDAT, IEND],
    "short gamma": [IHDR, png_chunk(b"gAMA", b"\0"), IDAT, IEND],
    "short colours": [IHDR, png_chunk(b"cHRM", b"\0"), IDAT, IEND],
    "text of unknown compression": [IHDR, png_chunk(b"zTXt", b"Comment\0\7x"), IDAT, IEND],
    "text that does not decompress": [IHDR, png_chunk(b"zTXt", b"Comment\0\0x"), IDAT, IEND],
    "text that grows": [
        IHDR,
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10_000_000))),
        IDAT,
        IEND,
    ],
    "colour profile that is none": [IHDR, png_chunk(b"iCCP", b"x\0\0x"), IDAT, IEND],
    "animation that is none": [IHDR, png_chunk(b"acTL", b"\0"), IDAT, IEND],
    "EXIF that is none": [IHDR, png_chunk(b"eXIf", b"garbage"), IDAT, IEND],
    "wrong checksum of EXIF": [IHDR, broken(png_chunk(b"eXIf", b"II*\0")), IDAT, IEND],
    "transparent colour": [IHDR, png_chunk(b"tRNS", bytes(6)), IDAT, IEND],
    "chunk unknown to all": [IHDR, png_chunk(b"abCd", b"x"), IDAT, IEND],
}
REFUSED = {
    "wrong checksum of the header": [broken(IHDR), IDAT, IEND],
    "wrong checksum of the data": [IHDR, broken(IDAT), IEND],
    "wrong checksum of the palette": [IHDR, broken(PALETTE), IDAT, IEND],
    "no end": [IHDR, IDAT],
    "cut end": [IHDR, IDAT, IEND[:-2]],
    "cut data": [IHDR, IDAT[:-6]],
    "nothing": [],
    "header alone": [IHDR, IEND],
    "no header": [IDAT, IEND],
    "unknown critical chunk": [IHDR, png_chunk(b"ABCD", b"x"), IDAT, IEND],
    "text within the data": halves(TEXT),
    "short data": [IHDR, png_chunk(b"IDAT", zlib.compress(b"\0" * 50)), IEND],
    "data that are none": [IHDR, png_chunk(b"IDAT", b"garbage"), IEND],
    "no pixels": [png_chunk(b"IHDR", bytes(4) + HEADER[4:]), IDAT, IEND],
    "a million pixels and one in a row": [
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1_000_001, 1, 1, 0, 0, 0, 0)),
        png_chunk(b"IDAT", zlib.compress(bytes(1 + 125_001))),
        IEND,
    ],
    "a length beyond the file": [IHDR, b"\xff\xff\xff\xffIDATxxxx", IEND],
}


def write(path, chunks):
    path.write_bytes(png.SIGNATURE + b"".join(chunks))
    return path


def tensorflow_reads(path):
    return decode_image(tf.io.read_file(str(path))).numpy()


@pytest.mark.parametrize("name", READABLE)
def test_what_both_read(tmp_path, name):
    path = write(tmp_path / "a.png", READABLE[name])
    assert read_header(path) == ("PNG", 5, 7, 1)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    np.testing.assert_array_equal(tensorflow_reads(path), PIXELS)


@pytest.mark.parametrize("name", REFUSED)
def test_what_both_refuse(tmp_path, name):
    path = write(tmp_path / "a.png", REFUSED[name])
    with pytest.raises(InputError, match=r"a\.png: cannot be read as an image"):
        read_image(path)
    with pytest.raises(tf.errors.OpError):
        tensorflow_reads(path)


@pytest.mark.parametrize("name", [n for n in REFUSED if "checksum" in n or "end" in n])
def test_what_is_known_without_decoding(tmp_path, name):
    with pytest.raises(InputError, match=r"a\.png"):
        read_header(write(tmp_path / "a.png", REFUSED[name]))


def test_what_is_left_of_a_file():
    exif = png_chunk(b"eXIf", b"II*\0")
    content = png.SIGNATURE + b"".join([IHDR, TEXT, exif, PALETTE, TEXT, IDAT, TEXT, IEND, b"more"])
    left = png.SIGNATURE + b"".join([IHDR, exif, PALETTE, IDAT, IEND])
    assert png.pixels_only(content) == left
