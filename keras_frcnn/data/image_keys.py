"""Images known by their content, each file read once.

What is kept of an image (its proposals, what a run was trained on) is found by the SHA-256 of its
file, so that folders may move. Reading all files at each start would be 10 GB for COCO: an index in
the cache folder remembers the digests, and a file is read again only when its size or one of its
times has changed.
"""

import hashlib
import json
import os
import time
import warnings
from pathlib import Path

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.files import make_cache_folder, replacing

# A file that was written a moment before it was read may be written again with the same times,
# which file systems count in steps of up to two seconds.
_SETTLED = 3 * 10**9  # nanoseconds


def image_keys(dataset: Dataset) -> list[str]:
    """Of each image the SHA-256 of its file, and the orientation it is turned by after decoding.

    Raises:
        InputError: an image cannot be read; it is named.
    """
    known = _read(dataset)
    found = {}  # by path: size and times when it was read, and the digest
    try:
        return [_key(record, known, found) for record in dataset.images]
    finally:
        # Also where an image cannot be read: those before it are not read again.
        if any(known.get(path) != entry for path, entry in found.items()):
            _write(dataset, known | found)


def image_key(record: ImageRecord) -> str:
    """The key of one image, whose file is read; errors are those of `image_keys`."""
    return _key(record, {}, {})


def _key(record: ImageRecord, known: dict, found: dict) -> str:
    path = os.path.abspath(record.path)
    try:
        status = os.stat(path)
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        *before, digest = known.get(path, [None])
        if before != stamp:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{record.path}: the image cannot be read ({error.strerror}); "
            "restore the file or take it off the data set's list"
        ) from error
    if time.time_ns() - max(stamp[1:]) > _SETTLED:
        found[path] = [*stamp, digest]
    return f"{digest}-{record.orientation}"


def _path(dataset: Dataset) -> Path:
    # Of each list its own, so that none reads what another needs.
    name = f"{os.getcwd()} {dataset.name}"
    return (
        make_cache_folder("images") / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"
    )


def _read(dataset: Dataset) -> dict[str, list]:
    """The index, after the line with its checksum; nothing where it is missing or damaged."""
    try:
        path = _path(dataset)
        checksum, _, content = path.read_bytes().partition(b"\n")
    except (InputError, FileNotFoundError):  # `_write` tells of a folder that cannot be made
        return {}
    except OSError as error:
        warnings.warn(f"{path} cannot be read ({error.strerror})", stacklevel=2)
        return {}
    if checksum != _checksum(content):
        warnings.warn(f"{path} is damaged and made again", stacklevel=2)
        return {}
    return json.loads(content)


def _write(dataset: Dataset, index: dict[str, list]) -> None:
    content = json.dumps(index).encode()
    try:
        with replacing(_path(dataset)) as partial:
            partial.write_bytes(_checksum(content) + b"\n" + content)
    except InputError as error:  # nothing needs it but the next start's speed
        warnings.warn(f"all images are read again next time: {error}", stacklevel=2)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
