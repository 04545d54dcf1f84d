"""Folders in VOC format: annotations and lists."""

import shutil
from pathlib import Path

from keras_frcnn import data
from tests.data.voc_files import voc_folder, xml, xml_object
from tests.faults.campaign import Lost, refusal_names
from tests.faults.mutations import mutated_bytes, mutated_text

IDS = ("a", "b", "c d")


def _folder(root: Path) -> Path:
    objects = (xml_object("cat"), xml_object("dog", (5.5, 6, 70, 50)))
    return voc_folder(root, {i: xml(*objects, filename=f"{i}.jpg") for i in IDS})


def annotation(folder: Path):
    """One of three XML files is damaged, with or without knowledge of its words."""
    root = _folder(folder / "photos")
    path = root / "Annotations" / "b.xml"
    text = path.read_text()

    def attempt(rng):
        path.write_bytes(
            mutated_text(rng, text) if rng.integers(4) else mutated_bytes(rng, text.encode())
        )
        # Two images that claim one file, or classes of no object, are matters of the folder.
        with refusal_names(path, root):
            _check(data.load(root, "train"))

    return attempt


def lists(folder: Path):
    """A list in ImageSets/Main is damaged."""
    root = _folder(folder / "photos")
    path = root / "ImageSets" / "Main" / "train.txt"
    text = path.read_text()
    (folder / "secret.jpg").write_bytes((root / "JPEGImages" / "a.jpg").read_bytes())

    def attempt(rng):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        path.write_bytes(mutated_text(rng, text))
        with refusal_names(path, path.parent, root):
            dataset = data.load(root, "train")
            _check(dataset)
            if not {Path(r.path).stem for r in dataset.images} <= set(IDS):
                raise Lost(f"other images: {[r.path for r in dataset.images]}")

    return attempt


def _check(dataset):
    for name in dataset.class_names:
        if not name or name != " ".join(name.split()) or "\0" in name:
            raise Lost(f"a class called {name!r}")
    for record in dataset.images:
        if (record.height, record.width) != (60, 80):
            raise Lost(f"{record.filename} has {record.height} x {record.width} pixels")
        for x1, y1, x2, y2 in record.boxes:
            if not (0 <= x1 < x2 <= 80 and 0 <= y1 < y2 <= 60):
                raise Lost(f"{record.filename} has the box {(x1, y1, x2, y2)}")
        if not all(1 <= label <= len(dataset.class_names) for label in record.labels):
            raise Lost(f"{record.filename} has the labels {record.labels}")
