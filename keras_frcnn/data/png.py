"""The chunks of a PNG file, so that Pillow reads just the files that libpng reads in TensorFlow.

Left to themselves they differ: Pillow refuses a file for a damaged note beside the pixels, which
libpng passes over, and takes pixels whose checksum is wrong, which libpng refuses.
"""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_SIDE = 1_000_000  # libpng's limit to width and height

_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_EXIF = b"eXIf"  # the one other chunk that matters: the orientation


def pixels_only(content: bytes) -> bytes:
    """A PNG file with nothing but what its pixels and EXIF orientation need.

    Without the notes, the animation and the alpha of its colours, which is dropped anyway.

    Raises:
        ValueError: the file is damaged where libpng would refuse it.
    """
    parts, done, previous = [SIGNATURE], set(), b""
    for kind, chunk, is_sound in _chunks(content):
        if kind in _CRITICAL:
            if not is_sound:
                raise ValueError(f"the checksum of its chunk {kind.decode()} is wrong")
            if kind == b"IDAT" and kind in done and previous != kind:
                raise ValueError("its chunks IDAT do not follow one another")
            done.add(kind)
            parts.append(chunk)
        elif kind == _EXIF:
            if is_sound and _EXIF not in done and b"IDAT" not in done:
                done.add(kind)
                parts.append(chunk)
        elif not kind[0] & 0x20:  # critical: what cannot be shown without knowing it
            raise ValueError(f"it has an unknown chunk {kind.decode('latin-1')}")
        previous = kind
        if kind == b"IEND":
            return b"".join(parts)
    raise ValueError("image file is truncated, it has no end")


def check_size(width: int, height: int) -> None:
    """Raises a `ValueError` for images wider or higher than libpng reads."""
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"a side is longer than {MAX_SIDE:,} pixels")


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, whole bytes and whether the checksum is right of every chunk that is complete."""
    view, position = memoryview(content), len(SIGNATURE)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            return
        (checksum,) = struct.unpack_from(">I", content, end - 4)
        yield kind, view[position:end], zlib.crc32(view[position + 4 : end - 4]) == checksum
        position = end
