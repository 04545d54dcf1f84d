"""The proposals of a shard of images: a function that knows no engine.

    rows, failures = search_shard(paths, read, searcher)

serves Beam (`keras_frcnn.bulk.pipelines`) and any other engine alike.
"""

import hashlib
import io
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from keras_frcnn.data.images import TRANSPOSED, ImageHeader, read_header
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.parquet import ProposalRow, packed_boxes
from keras_frcnn.proposals.worker import Worker

Failure = dict[str, str]  # of an image: its "path" and the "error"


class Searcher:
    """Searches images in a process of its own: an image whose search dies takes nobody along.

    Args:
        method: as `find.find_proposals` takes it.

    Raises:
        InputError: nothing can be searched here: every image would count as failed.
    """

    def __init__(self, method: Callable[[np.ndarray], np.ndarray]):
        self.method = method
        self._worker = Worker()
        trial = io.BytesIO()
        Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(trial, "PNG")
        self.search("a trial of the search", trial.getvalue(), 1)

    def search(self, path: str, content: bytes, orientation: int) -> np.ndarray:
        """The boxes, float32 [P, 4], in the upright image of this file.

        Raises:
            InputError: it cannot be read, or its search dies.
        """
        if not self._worker.is_alive:
            self._worker = Worker()
        return self._worker.search(self.method, path, orientation, content)

    def close(self) -> None:
        """End the process."""
        self._worker.kill()


def search_shard(
    paths: Iterable[str], read: Callable[[str], bytes], searcher: Searcher
) -> tuple[list[ProposalRow], list[Failure]]:
    """Proposals of images as `proposals` finds them, and the images that failed.

    Args:
        paths: of the images; each is searched upright by its own EXIF orientation.
        read: gives the bytes of a file.
        searcher: finds the boxes.
    """
    rows, failures = [], []
    key = searcher.method.cache_key
    for path in paths:
        try:
            content = read_image_file(path, read)
            header = read_header(path, content)
            boxes = packed_boxes(searcher.search(path, content, header.orientation))
        except InputError as error:
            failures.append(failure_of(path, error))
            continue
        sha256 = hashlib.sha256(content).hexdigest()
        rows.append(ProposalRow(path, sha256, key, *upright_size(header), boxes))
    return rows, failures


def read_image_file(path: str, read: Callable[[str], bytes]) -> bytes:
    """The bytes of an image file; whatever storage says of one it cannot give is an InputError."""
    try:
        return read(path)
    except Exception as error:  # each file system has its own
        reason = str(error).split("\n")[0] or type(error).__name__
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {reason})") from error


def upright_size(header: ImageHeader) -> tuple[int, int]:
    """Height and width of the upright image."""
    size = header.height, header.width
    return size[::-1] if header.orientation in TRANSPOSED else size


def failure_of(path: str, error: InputError) -> Failure:
    """What the dead-letter file says of an image."""
    return {"path": path, "error": " ".join(str(error).split("\n"))}
