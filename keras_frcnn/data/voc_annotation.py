"""One annotation file of Pascal VOC: its XML, in whatever encoding, to numbers and names."""

import codecs
import math
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import defusedxml.ElementTree

from keras_frcnn.errors import InputError, cut, shown

_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']""")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
# Python's, but of no text file; decoding some of them takes time that grows with the square.
_NO_ENCODINGS = ("idna", "punycode", "utf-7", "unicode_escape", "raw_unicode_escape", "undefined")


class VocObject(NamedTuple):
    """One `<object>` of an annotation file, in the file's own numbers."""

    class_name: str
    bndbox: tuple[float, float, float, float]  # xmin, ymin, xmax, ymax: 1-based, inclusive
    difficult: bool


class VocAnnotation(NamedTuple):
    """One annotation file."""

    filename: str | None  # the image as the file names it, its folders parted by /
    size: tuple[float, float] | None  # width, height of the pixels that were annotated
    objects: tuple[VocObject, ...]
    is_pascal: bool  # one of the genuine Pascal VOC annotations


def read_annotation(path: Path) -> VocAnnotation:
    """Reads a VOC annotation file.

    Raises:
        InputError: malformed or hostile XML, or an object without a class or a box of numbers.
    """
    root = _parse(path)
    if root.tag != "annotation":
        raise InputError(f"{path}: is no VOC annotation: its root is <{cut(root.tag)}>")
    filename = (root.findtext("filename") or "").strip().replace("\\", "/")
    return VocAnnotation(
        filename=filename or None,
        size=_read_size(root, path),
        objects=tuple(
            _read_object(element, f"{path}: object {number}")
            for number, element in enumerate(root.findall("object"), start=1)
        ),
        is_pascal=(root.findtext("source/annotation") or "").startswith("PASCAL VOC"),
    )


def tidy_name(text: str) -> str:
    """A class name on one line and in one Unicode form: tools wrap lines and Macs split accents."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _parse(path: Path) -> Element:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    try:
        try:
            return defusedxml.ElementTree.fromstring(content)
        except (defusedxml.ElementTree.ParseError, LookupError, ValueError) as error:
            if isinstance(error, defusedxml.DefusedXmlException):  # a ValueError as well
                raise
            # Expat knows few encodings, and calls none by Python's other names such as utf8.
            text = _decode(content, path)
            # Nor does it take blank lines before the declaration, which text does without.
            return defusedxml.ElementTree.fromstring(_DECLARATION.sub("", text, count=1))
    except defusedxml.DefusedXmlException as error:
        raise InputError(
            f"{path}: declares XML entities, which an annotation has no use for and which can "
            f"exhaust the memory; remove them ({type(error).__name__})"
        ) from error
    except (defusedxml.ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: malformed XML ({error})") from error


def _decode(content: bytes, path: Path) -> str:
    """The text of an XML file by its byte order mark or declaration, else as UTF-8."""
    declared = _DECLARED.match(content)
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "utf-32"
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif declared and not content.startswith(codecs.BOM_UTF8):
        encoding = declared[1].decode("ascii")
        if encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
            encoding = "utf-8"  # or the declaration could not have been read byte by byte
    else:
        encoding = "utf-8-sig"
    try:
        if codecs.lookup(encoding).name in _NO_ENCODINGS:
            raise LookupError(f"{encoding} is no encoding of XML")
        return content.decode(encoding)
    except UnicodeError as error:
        name = encoding.removesuffix("-sig")
        raise InputError(
            f"{path}: is not in {name}, {'as it declares' if declared else 'the default of XML'} "
            f"({error.reason if isinstance(error, UnicodeDecodeError) else error}); "
            "save it as UTF-8"
        ) from error
    except LookupError as error:
        raise InputError(f"{path}: malformed XML ({error}); save it as UTF-8") from error


def _read_size(root: Element, path: Path) -> tuple[float, float] | None:
    texts = [(root.findtext(f"size/{tag}") or "0").strip() for tag in ("width", "height")]
    try:
        width, height = (float(text or 0) for text in texts)
    except ValueError:
        raise InputError(f"{path}: <size> is {cut(' x '.join(texts))}, not two numbers") from None
    return (width, height) if width and height else None  # 0 x 0 is common and means unknown


def _read_object(element: Element, where: str) -> VocObject:
    if not (class_name := tidy_name(element.findtext("name") or "")):
        raise InputError(f"{where}: has no <name>")
    bndbox = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{tag}")
        if text is None:
            raise InputError(f"{where} ({cut(class_name)}): has no <bndbox> with <{tag}>")
        try:
            bndbox.append(float(text))
        except ValueError:
            bndbox.append(math.nan)
        if not math.isfinite(bndbox[-1]):
            raise InputError(f"{where} ({cut(class_name)}): <{tag}> is {shown(text)}, not a number")
    difficult = (element.findtext("difficult") or "").strip() or "0"
    if not re.fullmatch("[01]", difficult):
        raise InputError(
            f"{where} ({cut(class_name)}): <difficult> is {shown(difficult)}, not 0 or 1"
        )
    return VocObject(class_name, tuple(bndbox), difficult == "1")
