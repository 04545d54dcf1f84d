"""Faults of many files told at once: the first of a kind and how many there are."""

from collections.abc import Iterator
from contextlib import contextmanager

from keras_frcnn.errors import InputError, cut

_NAMED = 3  # more of a kind that are named beside the first


class Faults:
    """Collects errors, so that a data set of a thousand files is not mended one by one."""

    def __init__(self):
        self._found: dict[str, list[tuple[str, str]]] = {}  # kind -> (name, message)

    def add(self, kind: str, name: str, message: str) -> None:
        """Note a fault of the file `name`; `kind` is the plural of what has it: "images"."""
        self._found.setdefault(kind, []).append((name, message))

    @contextmanager
    def of(self, kind: str, name: str) -> Iterator[None]:
        """Collect what is raised inside the block."""
        try:
            yield
        except InputError as error:
            self.add(kind, name, str(error))

    def check(self) -> None:
        """Raise an `InputError` about the first kind of which there are any."""
        for kind, found in self._found.items():
            text = found[0][1]
            if more := [name for name, _ in found[1:]]:
                names = ", ".join(map(cut, more[:_NAMED])) + (", ..." if len(more) > _NAMED else "")
                text += f"; the same with {len(more)} more {kind} ({names})"
            raise InputError(text)
