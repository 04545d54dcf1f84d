"""Names of files as text, and names of anything as names of files."""

import os
import unicodedata
from collections.abc import Iterable

_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, ends of lines and paragraphs
_LONGEST = 150  # bytes: with what is put around it less than the 255 that file systems take


def printable(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 and control characters as escapes."""
    if name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _CONTROL else c
        for c in text
    )


def file_names(names: Iterable[str]) -> list[str]:
    """File names, or parts of them, for names that may hold anything; different ones for each.

    Separators, wildcards and characters that control or only format become `_`; of long names a
    beginning is left. Where two would be the same, also on disks that do not know upper from lower
    case, the later ones get a number.
    """
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        safe = "".join(
            "_" if c in '/\\:*?"<>|' or unicodedata.category(c) in (*_CONTROL, "Cf") else c
            for c in name
        )
        safe = safe.encode()[:_LONGEST].decode("utf-8", "ignore").strip(". ") or "_"
        unique, number = safe, 2
        while unique.casefold() in taken:
            unique, number = f"{safe}_{number}", number + 1
        taken.add(unique.casefold())
        found.append(unique)
    return found
