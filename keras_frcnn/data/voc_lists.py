"""The lists of ImageSets/Main: which images belong to a split.

Where there are none, `train.txt` and the like beside the folders of annotations and images serve.

A line of a list is the name of an image, as VOC has it; or what tools write instead: the image's
file or path, a pair of an image and its annotation, or in the list of a class a name and 1 (the
class is there), 0 (only difficult) or -1 (it is not).
"""

import codecs
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from keras_frcnn.data.faults import Faults
from keras_frcnn.data.split_names import SPLIT_NAMES
from keras_frcnn.data.voc_files import Files, folder_called, is_folder, is_system_file
from keras_frcnn.errors import InputError, shown

_COLUMN = re.compile(r"""\"[^"]*\"|'[^']*'|[^\s,;]+""")
_SIGNED = re.compile(r"(.+?)[\s,;]+(\+?1|0|-1)")

# The id of the image that a text means, None where there is none. The second argument says not to
# look for it in other folders. It raises an `InputError` for a text that means several images or
# leaves the data set.
Find = Callable[[str, bool], "str | None"]


class Line(NamedTuple):
    """What a line of a list says."""

    name: str  # the image's id, or the line's text where there is no such image
    is_known: bool
    has_class: bool = True  # False for -1 in the list of a class


class VocLists:
    """The lists of a data set.

    Args:
        root: the folder that holds ImageSets.

    Raises:
        InputError: a folder cannot be read.
    """

    def __init__(self, root: Path):
        sets = folder_called(root, "ImageSets")
        self.folder = folder_called(sets, "Main")
        found = Files(self.folder, (".txt",), recursive=False)
        if not is_folder(self.folder) and (above := Files(sets, (".txt",), recursive=False)).paths:
            self.folder, found = sets, above
        if not found.paths:
            beside = Files(root, (".txt",), recursive=False).paths
            if named := {n: beside[n] for n in beside if n.lower() in SPLIT_NAMES}:
                self.folder, found.paths = root, named
        self._paths = {name: self.folder / paths[0] for name, paths in found.paths.items()}

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the lists, without those of single classes where there are others."""
        # The official archives also hold "<class>_<split>.txt".
        names = sorted(self._paths)
        return tuple(n for n in names if not ("_" in n and n.rpartition("_")[2] in names))

    def path(self, split: str) -> Path:
        """The file of a list, which need not exist."""
        return self._paths.get(split, self.folder / f"{split}.txt")

    def __contains__(self, split: str) -> bool:
        return split in self._paths

    def read(self, split: str, find: Find) -> list[Line]:
        """The lines of a list, blank ones and those of system files left out.

        Raises:
            InputError: the list cannot be read, or a line says something else than it may; the
                first such line is named and the others are counted.
        """
        path, faults, lines = self.path(split), Faults(), []
        for number, text in enumerate(_text(path).splitlines(), start=1):
            text = text.strip()
            if text and not is_system_file(text.replace("\\", "/").rpartition("/")[2]):
                try:
                    lines.append(_line(text, find))
                except InputError as error:
                    message = f"{path}: line {number}, {shown(text)}: {error}"
                    faults.add("lines", f"line {number}", message)
        faults.check()
        return lines


def _line(text: str, find: Find) -> Line:
    if (known := find(text, True)) is not None:  # first, since names may hold spaces and commas
        return Line(known, True)
    columns = [column.strip("\"'") for column in _COLUMN.findall(text)]
    name, has_class = text, True
    if signed := _SIGNED.fullmatch(text):
        name, has_class = signed[1], signed[2] != "-1"
        columns = columns[:-1]
    if len(columns) == 1:
        name = columns[0]
    elif len(columns) == 2 and not signed and (known := find(columns[0], False)) is not None:
        if find(columns[1], False) != known:
            raise InputError(
                f"{shown(columns[1])} is no annotation of that image; expected is the name of an "
                "image, with nothing behind it or with 1, 0 or -1 in the list of a class"
            )
        return Line(known, True, has_class)
    known = find(name, len(columns) > 1)
    return Line(name if known is None else known, known is not None, has_class)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")  # of PowerShell's >
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as a list of images ({reason})") from error
    # What is not UTF-8 may still be the name of a file, as the system gives it.
    return content.decode("utf-8-sig", "surrogateescape")
