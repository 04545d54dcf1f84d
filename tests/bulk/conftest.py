"""Small photographs, and files that are none."""

import shlex
import struct
import sys
import zlib

import pytest
from PIL import Image

from tests.data.voc_files import photograph

pytest.importorskip("apache_beam")
pytest.importorskip("pyarrow")

needs_processes = pytest.mark.skipif(
    shlex.quote(sys.executable) != sys.executable, reason="Beam cannot start this Python's path"
)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Seven files: in folders, with odd letters, grey, and one that is stored on its side."""
    folder = tmp_path_factory.mktemp("my photos")
    (folder / "more").mkdir()
    for i, name in enumerate(("a.jpg", "b c.jpg", "more/żółw.jpg", "more/d*.png", "e.png")):
        photograph(seed=i).save(folder / name)
    photograph(seed=5).convert("L").save(folder / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(seed=6).save(folder / "side.jpg", exif=exif)
    return folder


@pytest.fixture(scope="session")
def listed(photos):
    """A list of all of them, and of three that fail: missing, cut off, and too large."""
    content = (photos / "a.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(content[: len(content) // 2])
    (photos / "large.png").write_bytes(png_header(30000, 30000))
    names = sorted(path for path in photos.rglob("*") if path.suffix in (".jpg", ".png"))
    path = photos / "images.txt"
    path.write_text("".join(f"{name}\n" for name in (*names, photos / "missing.jpg")), "utf-8")
    return path


FAILED = {"cut.jpg": "truncated", "large.png": "too large", "missing.jpg": "No such file"}


def png_header(width, height):
    """A PNG file that says it has so many pixels."""
    chunks = b""
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 100)),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        chunks += struct.pack(">I", len(data)) + kind + data + checksum
    return b"\x89PNG\r\n\x1a\n" + chunks
