"""The detections of a shard of images: a function that knows no engine, and its JSON lines.

A line is an image: `{"path": ..., "height": ..., "width": ..., "detections": [...]}`, size and
boxes of the upright image, detections in the form of `Detections.to_json`, best first.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from keras_frcnn.bulk.models import Detect
from keras_frcnn.bulk.plan import Shard
from keras_frcnn.bulk.search import Failure, failure_of, read_image_file, upright_size
from keras_frcnn.data.images import read_header
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.parquet import ProposalRow, from_parquet, unpacked_boxes


def detect_shard(
    shard: Shard, read: Callable[[str], bytes], detect: Detect
) -> tuple[list[dict], list[Failure]]:
    """The lines of a shard's images, and the images that failed.

    Args:
        shard: of images, or of a file with their proposals.
        read: gives the bytes of a file.
        detect: see `models.Detect`.

    Raises:
        InputError: the file with the proposals is damaged.
    """
    lines, failures = [], []
    for path, row in _images(shard, read):
        try:
            content = read_image_file(path, read)
            proposals = None
            if row is not None:
                if hashlib.sha256(content).hexdigest() != row.sha256:
                    raise InputError(f"{path}: has changed since its proposals were found")
                proposals = unpacked_boxes(row, shard.proposals)
            found = detect(path, content, proposals)
            height, width = upright_size(read_header(path, content))
        except InputError as error:
            failures.append(failure_of(path, error))
            continue
        entries = found.to_json(found.class_names)
        lines.append({"path": path, "height": height, "width": width, "detections": entries})
    return lines, failures


def _images(shard: Shard, read) -> Iterator[tuple[str, ProposalRow | None]]:
    if shard.proposals is None:
        return ((path, None) for path in shard.images)
    rows = from_parquet(read(shard.proposals), shard.proposals)
    return ((row.path, row) for row in rows)


def to_lines(lines: Sequence[Mapping]) -> bytes:
    """JSON lines: a float32 as the shortest decimal of its double, which gives it again."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def from_lines(contents: Iterable[tuple[str, bytes]]) -> dict[str, list]:
    """The detections of each image in files of JSON lines, by its path.

    Args:
        contents: what messages call each file, and its bytes.

    Raises:
        InputError: a file is damaged.
    """
    found = {}
    for where, content in contents:
        try:
            for line in content.decode().splitlines():
                entry = json.loads(line)
                found[entry["path"]] = entry["detections"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{where}: is no file of detections ({error})") from error
    return found
