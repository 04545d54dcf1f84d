"""Which annotation and which image of a folder in VOC format belong together.

The id of an image is the path of its annotation in the folder of annotations without .xml, and
without the image's suffix where a tool has left it in; of an image without annotation its path in
the folder of images without suffix. Folders are parted by `/`.
"""

import os
import posixpath
import re
from pathlib import Path

from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files
from keras_frcnn.data.voc_layout import VocLayout
from keras_frcnn.errors import InputError

_ELSEWHERE = re.compile("/|[.][.](/|$)|[A-Za-z]:/|[a-z]+:/")


class VocNames:
    """The annotations and images of a data set by their ids.

    Args:
        layout: the folders of annotations and images.

    Raises:
        InputError: a folder cannot be read.
    """

    def __init__(self, layout: VocLayout):
        self.root = layout.root
        self.annotations = Files(layout.annotations, (".xml",))
        self.images = Files(layout.images, IMAGE_SUFFIXES)
        names: dict[str, list[str]] = {}  # by what is left without the image's suffix
        for name in self.annotations.paths:
            names.setdefault(_without(name, IMAGE_SUFFIXES), []).append(name)
        self._id_of = {
            name: short if len(same) == 1 else name
            for short, same in names.items()
            for name in same
        }
        self._annotation_of = {image_id: name for name, image_id in self._id_of.items()}
        self._image_paths = {path for paths in self.images.paths.values() for path in paths}

    def annotated(self) -> list[str]:
        """The ids that have an annotation, sorted."""
        return sorted(self._annotation_of)

    def find(self, text: str, in_this_folder: bool = False) -> str | None:
        """The id of the image that a line of a list means; None where there is none.

        Args:
            text: a name, or a path as tools write it.
            in_this_folder: whether to pass over images of that name in other folders.

        Raises:
            InputError: it leads out of the data set's folder, or means several images.
        """
        if self._is_id(text):
            return text
        text = self._inside(text)
        short = _without(_without(text, (".xml",)), IMAGE_SUFFIXES)
        if text in self._image_paths and len(self.images.paths.get(short, ())) > 1:
            return text  # of images that differ in their suffix alone, that one
        texts = dict.fromkeys((text, _without(text, (".xml",)), short))
        for t in texts:
            if self._is_id(t):
                return t
        for t in texts:
            annotations, images = self.annotations.like(t), self.images.like(t)
            if annotations or images:
                return _only([self._id_of[a] for a in annotations] or images)
        annotations, images = self.annotations.called(short), self.images.called(short)
        if (annotations or images) and not in_this_folder:
            return _only(max([self._id_of[a] for a in annotations], images, key=len))
        return None

    def annotation(self, image_id: str) -> Path | None:
        """The annotation of an image; None where there is none."""
        if (name := self._annotation_of.get(image_id)) is None:
            short = _without(image_id, IMAGE_SUFFIXES)
            if short != image_id and image_id in self._image_paths:
                return self.annotation(short)
            name = self._unambiguous(image_id, self.annotations)
        return None if name is None else self.annotations.folder / self.annotations.paths[name][0]

    def image(self, image_id: str, filename: str | None = None) -> str | None:
        """The path of an image relative to JPEGImages; None where there is none.

        As in the devkit the id names the image; only where that leads nowhere, `filename`, the
        <filename> of its annotation, does. It also chooses among suffixes.
        """
        if image_id in self._image_paths:
            return image_id
        known = self.images.paths
        if paths := known.get(image_id) or known.get(self._annotation_of.get(image_id, "")):
            if len(paths) == 1 or not filename:
                return paths[0]
            suffix = os.path.splitext(filename)[1]
            return next((p for p in paths if suffix and p.endswith(suffix)), paths[0])
        if filename:
            last = filename.rpartition("/")[2]
            for path in (posixpath.join(posixpath.dirname(image_id), last), filename, last):
                if path in self._image_paths:
                    return path
        for name in filter(None, (image_id, filename and os.path.splitext(filename)[0])):
            if (found := self._unambiguous(name, self.images)) is not None:
                return known[found][0]
        return None

    def _is_id(self, text: str) -> bool:
        return text in self._annotation_of or text in self.images.paths

    def _inside(self, text: str) -> str:
        """A path as tools write it, relative to JPEGImages or Annotations."""
        path = text.replace("\\", "/")
        for root in (self.root.absolute(), self.root.resolve()):
            path = path.removeprefix(f"{root.as_posix()}/")
        path = posixpath.normpath(path)
        if _ELSEWHERE.match(path):
            raise InputError(
                "leads out of the data set's folder; list the names of images in "
                f"{self.images.folder}"
            )
        folders = (self.images.folder.name.lower(), self.annotations.folder.name.lower())
        parts = path.split("/")
        for place in reversed(range(len(parts) - 1)):
            if parts[place].lower() in folders:
                return "/".join(parts[place + 1 :])
        return path

    def _unambiguous(self, name: str, among: Files) -> str | None:
        """The name in `among` that is this one in other case or form, or in another folder.

        In another folder only where no other image or annotation is called so.
        """
        if alike := among.like(name):
            return alike[0] if len(alike) == 1 else None
        called = among.called(name)
        other = self.images if among is self.annotations else self.annotations
        if len(called) == 1 and len(other.called(called[0])) <= 1:
            return called[0]
        return None


def _only(ids: list[str]) -> str:
    if len(ids) > 1:
        raise InputError(f"may mean {' or '.join(sorted(ids)[:3])}; write its name in full")
    return ids[0]


def _without(name: str, suffixes) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in suffixes else name
