"""Names of the files that a large work leaves: `proposals-00003-of-00120.parquet`.

Shard n of N holds the same images whatever it is that was made of them, so that names tell what
belongs together, what is done and what is missing.
"""

import re
from collections.abc import Iterable

from keras_frcnn.errors import InputError

SUFFIXES = {"proposals": ".parquet", "detections": ".jsonl", "failed": ".jsonl"}


def shard_name(kind: str, number: int, count: int) -> str:
    """The file of shard `number`, from 0, of `count`; `kind` is one of `SUFFIXES`."""
    return f"{kind}-{number:05d}-of-{count:05d}{SUFFIXES[kind]}"


def shard_numbers(names: Iterable[str], kind: str) -> set[tuple[int, int]]:
    """(number, count) of all shards of a kind among the names of files."""
    pattern = re.compile(rf"{kind}-(\d{{5,}})-of-(\d{{5,}}){re.escape(SUFFIXES[kind])}")
    found = map(pattern.fullmatch, names)
    return {(int(match[1]), int(match[2])) for match in found if match}


def all_shards(names: Iterable[str], kind: str, folder: str) -> list[str]:
    """The files of all shards of a kind in their order.

    Args:
        names: of the files of a folder.
        kind: one of `SUFFIXES`.
        folder: what messages call it.

    Raises:
        InputError: there are none, some are missing, or they are of several works.
    """
    found = shard_numbers(names, kind)
    counts = sorted({count for _, count in found})
    if not counts:
        raise InputError(
            f"{folder}: holds no shards of {kind} ({shard_name(kind, 0, 1)} and so on)"
        )
    if len(counts) > 1:
        raise InputError(
            f"{folder}: holds shards of {kind} of different works, of {counts[0]} and of "
            f"{counts[1]} shards; remove those that are not meant"
        )
    (count,) = counts
    if missing := sorted(set(range(count)) - {number for number, _ in found}):
        raise InputError(
            f"{folder}: {len(missing)} of {count} shards of {kind} are missing, the first is "
            f"{shard_name(kind, missing[0], count)}; start the command that makes them again"
        )
    return [shard_name(kind, number, count) for number in range(count)]
