"""Processor time of a search on Apache Beam and by the own pool: `keras-frcnn bench bulk`.

Both search the same photographs, scaled small so that what they do besides counts, by two workers,
in turns, each from the start of its process to its end; the boxes must be the same bits. See
docs/bulk.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.bulk.jobs import bulk_proposals
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.images import open_image, read_header
from keras_frcnn.data.voc_files import IMAGE_SUFFIXES, Files
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import find_proposals
from keras_frcnn.proposals.saved import load_proposals

WORKERS = 2
PER_SHARD = 10
POOL = "own pool"
MODES = ("multi_threading", "multi_processing")


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench bulk", description=__doc__)
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--count", type=int, default=200, help="how many (%(default)s)")
    parser.add_argument("--side", type=int, default=160, help="pixels of the longer (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="how often each (%(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        print(measure(Path(args.images), Path(folder), args.count, args.side, args.turns))
    return 0


def measure(photographs: Path, folder: Path, count: int, side: int, turns: int) -> str:
    """A table of seconds, the medians of all turns.

    Raises:
        InputError: there are fewer photographs, or Beam is not installed.
    """
    small = folder / "small"
    small.mkdir()
    names = sorted(p for paths in Files(photographs, IMAGE_SUFFIXES).paths.values() for p in paths)
    if len(names) < count:
        raise InputError(f"--images: {photographs} has {len(names)} images, not {count}")
    for i, name in enumerate(names[:count]):
        image = Image.fromarray(open_image(photographs / name))
        image.thumbnail((side, side))
        image.save(small / f"{i:05d}.png")
    seconds: dict[str, list[tuple[float, float]]] = {program: [] for program in (POOL, *MODES)}
    for turn in range(turns):
        for program, found in seconds.items():
            found.append(_run(program, small, folder / f"{program} {turn}"))
    dataset = _data_set(small)
    expected = find_proposals(dataset, None, 1, False, folder / f"{POOL} 0")
    for mode in MODES:
        for own, other in zip(expected, load_proposals(folder / f"{mode} 0", dataset), strict=True):
            if own.tobytes() != other.tobytes():
                raise RuntimeError(f"{mode} finds other boxes than the pool")
    rows = [["", "processor seconds", "to the pool's", "wall seconds"]]
    base = median(cpu for cpu, _ in seconds[POOL])
    for program, found in seconds.items():
        cpu, wall = (median(column) for column in zip(*found, strict=True))
        rows.append([program, f"{cpu:.1f}", f"{cpu / base:.2f}", f"{wall:.1f}"])
    boxes = np.mean([len(boxes) for boxes in expected])
    return (
        f"{count} photographs of {side} pixels, {WORKERS} workers, medians of {turns}; "
        f"{boxes:.0f} boxes an image, the same bits\n\n{markdown(rows)}"
    )


def search(program: str, images: str, out: str) -> None:
    """What a measured process does."""
    if program == POOL:
        find_proposals(_data_set(Path(images)), None, WORKERS, False, out)
        return
    options = ["--direct_running_mode", program, "--direct_num_workers", str(WORKERS)]
    bulk_proposals(f"{images}/*.png", out, images_per_shard=PER_SHARD, options=options)


def _run(program: str, images: Path, out: Path) -> tuple[float, float]:
    """Seconds of the processors, those of its children too, and of the clock."""
    code = "import sys; from keras_frcnn.benchmarks.bulk import search; search(*sys.argv[1:])"
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, program, str(images), str(out)], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{program} ended with status {status}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun


def _data_set(folder: Path) -> Dataset:
    records = []
    for path in sorted(folder.iterdir()):
        header = read_header(path)
        records.append(ImageRecord(path.name, str(path), header.height, header.width))
    return Dataset("photographs", ("thing",), tuple(records))
