"""What a run was trained on: images, objects and proposals, each known by its content.

RUN/data.json has the class names and, for every image by its name, three digests. A resumed run
compares them, so that the data may lie elsewhere by then but must be the same.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.image_keys import image_keys
from keras_frcnn.errors import InputError
from keras_frcnn.files import write_json

FILE = "data.json"
PARTS = ("pixels", "objects", "proposals")  # what the digests of an image are of, in this order

_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Fingerprint:
    """The content of a data set with its proposals."""

    class_names: tuple[str, ...]
    images: dict[str, tuple[str, ...]]  # by name, in order: a digest for each of `PARTS`

    def digest(self) -> str:
        """One digest of all, 16 hexadecimal digits."""
        return _digest(json.dumps([self.class_names, list(self.images.items())]).encode())

    def count_shared(self, other: "Fingerprint") -> int:
        """How many images of `other` have the pixels of one of these."""
        known = {digests[0] for digests in self.images.values()}
        return sum(digests[0] in known for digests in other.images.values())


def fingerprint(images: ImageSet) -> Fingerprint:
    """The fingerprint of a data set; reads the image files that are new or changed.

    Raises:
        InputError: an image cannot be read.
    """
    all_proposals = images.proposals
    if all_proposals is None:  # the detector makes its own
        all_proposals = [np.zeros((0, 4))] * len(images.dataset.images)
    return Fingerprint(
        images.dataset.class_names,
        {
            record.filename: (
                _digest(key.encode()),
                _digest(
                    _bytes(record.boxes, "<f4"),
                    _bytes(record.labels, "<i4"),
                    _bytes(record.is_difficult, "u1"),
                    *(b" no mask" if mask is None else b" " + mask for mask in record.masks),
                ),
                _digest(_bytes(proposals, "<f4")),
            )
            for record, key, proposals in zip(
                images.dataset.images, image_keys(images.dataset), all_proposals, strict=True
            )
        },
    )


def changes(old: Fingerprint, new: Fingerprint) -> list[str]:
    """What differs, a line each: which image and what of it; nothing where all is the same."""
    lines = []
    if old.class_names != new.class_names:
        were, are = ", ".join(old.class_names), ", ".join(new.class_names)
        lines.append(f"the classes were {were} and are {are}")
    lines += [f"{name} is gone" for name in old.images if name not in new.images]
    lines += [f"{name} was added" for name in new.images if name not in old.images]
    for name, digests in new.images.items():
        before = old.images.get(name, digests)
        parts = [p for p, a, b in zip(PARTS, before, digests, strict=True) if a != b]
        if parts:
            lines.append(f"{name} has other {' and '.join(parts)}")
    if not lines and list(old.images) != list(new.images):
        lines.append("the images come in another order")
    return lines


def save_fingerprint(run: Path, content: Fingerprint) -> None:
    """Write `data.json`."""
    images = {name: " ".join(digests) for name, digests in content.images.items()}
    write_json(run / FILE, {"class_names": content.class_names, "images": images})


def load_fingerprint(run: Path) -> Fingerprint | None:
    """Read `data.json`; None where there is none, as in runs of version 0.1.

    Raises:
        InputError: it is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        class_names = content["class_names"]
        if not isinstance(class_names, list) or not all(isinstance(n, str) for n in class_names):
            raise ValueError("class_names are no list of names")
        images = {name: tuple(text.split()) for name, text in content["images"].items()}
        if any(len(digests) != len(PARTS) for digests in images.values()):
            raise ValueError("an image has not its three digests")
        return Fingerprint(tuple(class_names), images)
    except _DAMAGE as error:
        raise InputError(
            f"{path}: cannot be read as what the run was trained on ({error}); "
            "without the file the run goes on unchecked"
        ) from error


def _bytes(array: np.ndarray, dtype: str) -> bytes:
    return f"{np.shape(array)} ".encode() + np.ascontiguousarray(array, dtype).tobytes()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
