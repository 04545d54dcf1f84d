import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageChops, ImageOps

from keras_frcnn.data.images import (
    decode_image,
    open_image,
    read_header,
    read_image,
)
from keras_frcnn.errors import InputError
from tests.data.voc_files import photograph

JPEG_TOLERANCE = 3  # grey levels; two JPEG libraries may round and upsample differently


def decode(path, orientation=1):
    return decode_image(tf.io.read_file(str(path)), orientation).numpy()


def save_rotated(path, orientation):
    """A picture whose EXIF data say that it must be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph().save(path, exif=exif, quality=95, subsampling=0)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def save_png16(path, samples):
    """A 16-bit PNG [H, W, C] with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA, by the standard."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_as_pillow_turns_it(tmp_path, orientation):
    path = tmp_path / "a.png"
    save_rotated(path, orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert read_header(path).orientation == orientation
    np.testing.assert_array_equal(open_image(path), expected)
    np.testing.assert_array_equal(read_image(path, orientation), expected)
    np.testing.assert_array_equal(decode(path, orientation), expected)


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_jpeg_orientation(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    save_rotated(path, orientation)
    assert read_header(path) == ("JPEG", 60, 80, orientation)
    upright = open_image(path)
    assert upright.shape == ((60, 80, 3) if orientation == 1 else (80, 60, 3))
    assert np.abs(decode(path, orientation).astype(int) - upright).max() <= JPEG_TOLERANCE


def test_orientation_may_be_a_tensor_in_a_graph(tmp_path):
    path = tmp_path / "a.png"
    save_rotated(path, 6)
    orientations = tf.data.Dataset.range(1, 9, output_type=tf.int32)
    pictures = orientations.map(lambda o: decode_image(tf.io.read_file(str(path)), o))
    assert pictures.element_spec.shape.as_list() == [None, None, 3]
    for orientation, picture in enumerate(pictures.as_numpy_iterator(), start=1):
        np.testing.assert_array_equal(picture, read_image(path, orientation))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_unreadable_exif_data_do_not_spoil_a_picture(tmp_path, exif):
    photograph().save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").orientation == 1
    assert open_image(tmp_path / "a.jpg").shape == (60, 80, 3)


@pytest.mark.parametrize("value", [0, 9])
def test_meaningless_orientation_counts_as_none(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    photograph().save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").orientation == 1


@pytest.mark.parametrize("subsampling", [0, 1, 2])  # 4:4:4, 4:2:2, 4:2:0
def test_jpeg_readers_agree(tmp_path, subsampling):
    photograph(83, 61).save(tmp_path / "a.jpg", quality=90, subsampling=subsampling)
    image = read_image(tmp_path / "a.jpg")
    assert image.dtype == np.uint8 and image.shape == (61, 83, 3)
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - image).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("optimize", [False, True])
def test_cmyk_jpeg(tmp_path, optimize):
    rgb = photograph()
    rgb.convert("CMYK").save(tmp_path / "a.jpg", quality=98, subsampling=0, optimize=optimize)
    image = read_image(tmp_path / "a.jpg")
    # Pillow's way to CMYK and back keeps RGB, so only compression errors remain.
    assert np.abs(image.astype(int) - np.asarray(rgb)).mean() < 3
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - image).max() <= JPEG_TOLERANCE


def test_inks_are_mixed_as_tensorflow_rounds(tmp_path):
    inks = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    path = tmp_path / "a.jpg"
    Image.fromarray(np.kron(inks, np.ones((8, 8, 1), np.uint8)), "CMYK").save(path, quality=100)
    np.testing.assert_array_equal(read_image(path), decode(path))
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.tif")
    light = 255 - inks.astype(int)
    expected = light[..., :3] * light[..., 3:] // 255
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif"), expected)


def test_cmyk_jpeg_without_adobe_marker_holds_inks_as_they_are(tmp_path):
    path = tmp_path / "a.jpg"
    ImageChops.invert(photograph().convert("CMYK")).save(path, quality=98, subsampling=0)
    data = path.read_bytes()
    start = data.index(b"\xff\xee")  # the marker APP14
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    path.write_bytes(data[:start] + data[end:])
    image = read_image(path)
    assert np.abs(image.astype(int) - np.asarray(photograph())).mean() < 3
    assert np.abs(decode(path).astype(int) - image).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_grey_is_repeated(tmp_path, suffix):
    grey = photograph().convert("L")
    grey.save(tmp_path / f"a.{suffix}", quality=95)
    image = read_image(tmp_path / f"a.{suffix}")
    assert (image[..., :1] == image).all()
    assert np.abs(image[..., 0].astype(int) - np.asarray(grey)).max() <= JPEG_TOLERANCE
    assert np.abs(decode(tmp_path / f"a.{suffix}").astype(int) - image).max() <= JPEG_TOLERANCE


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_scaled_and_not_clipped(tmp_path, channels):
    samples = np.random.default_rng(0).integers(0, 65536, (5, 7, channels), np.uint16)
    samples[0, 0] = 65535
    samples[0, 1] = 255
    save_png16(tmp_path / "a.png", samples)
    color = samples[:, :, : channels - (channels % 2 == 0)]  # without alpha
    expected = np.broadcast_to(color // 256, (5, 7, 3))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_png_modes_lose_alpha_only(tmp_path, mode):
    rgb = photograph()
    image = rgb.quantize(16) if mode == "P" else rgb.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "a.png", transparency=3 if mode == "P" else None)
    expected = np.asarray(image.convert({"LA": "L"}.get(mode, "RGB")).convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), expected)


def test_palette_with_an_alpha_for_every_color(tmp_path, recwarn):
    image = photograph().quantize(16)
    image.save(tmp_path / "a.png", transparency=bytes(range(16)))
    expected = decode(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    assert not recwarn.list


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.95, 0.5])
def test_truncated_file_is_named(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    photograph(300, 200).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    for read in (read_image, open_image):
        with pytest.raises(InputError, match=rf"cut\.{suffix}.*truncated"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\xff\xd8\xff", b"\x89PNG\r\n"])
def test_non_image_is_named(tmp_path, content):
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    for read in (read_image, open_image, read_header):
        with pytest.raises(InputError, match=r"text\.jpg"):
            read(path)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.jpg.*no such image"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(InputError, match=str(tmp_path)):
        read_image(tmp_path)


def test_32_bit_samples_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match=r"a\.tiff.*32-bit"):
        open_image(tmp_path / "a.tiff")


def test_broken_links_folders_and_long_names_are_named(tmp_path):
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    for name, said in (
        ("link.jpg", "is a link to a file that is missing"),
        (".", r"cannot be read \(Is a directory\)"),
        ("x" * 300, r"cannot be read \(File name too long\)"),
        ("a\0b", "null"),
    ):
        with pytest.raises(InputError, match=said):
            read_header(tmp_path / name)


@pytest.mark.parametrize("size", [(20_000, 20_000), (16_384, 10_923)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_too_large_say_so_with_the_limit(tmp_path, size):
    """The second has a pixel more in its width than the limit allows."""
    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    path = tmp_path / "large.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    for read in (read_header, read_image, open_image):
        with pytest.raises(InputError, match=r"large\.png: .*too large, .*178,956,970 pixels"):
            read(path)


def test_exif_data_that_pillow_stumbles_over_count_as_none(tmp_path):
    exif = b"garbage"
    photograph().save(tmp_path / "a.png", exif=exif)
    assert read_header(tmp_path / "a.png").orientation == 1
    assert open_image(tmp_path / "a.png").shape == (60, 80, 3)
