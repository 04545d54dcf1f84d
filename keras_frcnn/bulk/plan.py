"""How a large work is cut into shards, and whether a folder holds this work or another.

A shard is some images and the file of their results. The list of images is sorted and cut the same
way every time, so that a work that was stopped goes on with the shards whose files are missing.
OUTPUT/job.json says what the work is: the folder of another one is refused.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

from keras_frcnn.errors import InputError, shown
from keras_frcnn.shard_names import shard_name, shard_numbers

JOB = "job.json"


@dataclass(frozen=True)
class Shard:
    """Shard `number`, from 0, of `count`: images, or a file that has their proposals."""

    number: int
    count: int
    images: tuple[str, ...] = ()
    proposals: str | None = None


@dataclass(frozen=True)
class Job:
    """What the files of a folder depend on."""

    kind: str  # "proposals" or "detections"
    images: int  # how many
    images_sha256: str  # of their paths, in order
    images_per_shard: int
    method: str  # all that results depend on besides the image

    def to_json(self) -> bytes:
        """The content of `job.json`."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    def check(self, folder: str, names: Collection[str], read: Callable[[str], bytes]) -> bool:
        """Whether the folder is this job's already; False where it has none yet.

        Args:
            folder: what messages call it.
            names: of the files in it.
            read: gives the content of one of them.

        Raises:
            InputError: it is another job's.
        """
        if JOB not in names:
            if shard_numbers(names, self.kind):
                raise InputError(
                    f"{folder}: holds shards but no {JOB} that tells what they are of; name "
                    "another folder"
                )
            return False
        there = read_job(read(JOB), f"{folder}: {JOB}")
        what = {
            "kind": "results of another kind",
            "images": "results of another number of images",
            "images_sha256": "results of other images",
            "images_per_shard": "shards of another number of images",
            "method": "results of another method or model",
        }
        for name, text in what.items():
            found, asked = getattr(there, name), getattr(self, name)
            if found != asked:
                raise InputError(
                    f"{folder}: holds {text}: {shown(found)}, not {shown(asked)}; name another "
                    "folder, or ask for the same as before"
                )
        return True

    def missing(self, shards: Sequence[Shard], names: Collection[str]) -> list[Shard]:
        """The shards whose files are not among these names."""
        return [s for s in shards if shard_name(self.kind, s.number, s.count) not in names]


def read_job(content: bytes, where: str) -> Job:
    """The job that a `job.json` describes.

    Raises:
        InputError: it is damaged; `where` names it.
    """
    try:
        return Job(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: is damaged ({error})") from error


def cut(paths: Sequence[str], per_shard: int) -> list[Shard]:
    """The sorted list of images in shards of so many, the last one smaller.

    Raises:
        InputError: there are none, one is there twice or is not UTF-8, or `per_shard` is less
            than 1.
    """
    if per_shard < 1:
        raise InputError(f"images per shard: must be at least 1, not {per_shard}")
    if not paths:
        raise InputError("there are no images")
    paths = sorted(paths)
    for path, following in itertools.pairwise(paths):
        if path == following:
            raise InputError(f"{path}: is listed twice")
    for path in paths:
        if any("\ud800" <= letter <= "\udfff" for letter in path):
            raise InputError(f"{shown(path)}: the name is not UTF-8; rename the file")
    count = -(-len(paths) // per_shard)
    return [
        Shard(n, count, tuple(paths[n * per_shard : (n + 1) * per_shard])) for n in range(count)
    ]


def digest_of(shards: Sequence[Shard]) -> str:
    """SHA-256 of the paths of all images."""
    digest = hashlib.sha256()
    for shard in shards:
        for path in shard.images:
            encoded = path.encode()
            digest.update(f"{len(encoded)} ".encode() + encoded)
    return digest.hexdigest()


def listed(content: bytes, where: str) -> list[str]:
    """The paths in a list of images, one a line.

    Raises:
        InputError: it is no text in UTF-8; `where` is the file.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is no list of paths in UTF-8 ({error})") from error
    return [path for line in lines if (path := line.rstrip("\r"))]
