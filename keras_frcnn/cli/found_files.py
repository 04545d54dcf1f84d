"""The files that `detect` and `client` write: pictures and lists of what was found.

OUT/a.png                  the detections from --min-score on, drawn
OUT/detections.json        all of them, by image
OUT/detections.csv         a row each: file, class, score, x1, y1, x2, y2
OUT/detections_coco.json   COCO's results; image_id is the place of the file in the list, from 1
"""

import csv
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from keras_frcnn.cli.drawings import is_drawing, save_drawing
from keras_frcnn.data.images import open_image, read_header
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.coco_results import coco_entries
from keras_frcnn.evaluation.results import COLUMNS
from keras_frcnn.evaluation.stopwatch import Stopwatch
from keras_frcnn.file_names import printable
from keras_frcnn.files import make_folder, replacing, write_json
from keras_frcnn.pictures.draw import draw_detections

# Detections in the image of a file; tells the watch of its stages.
Find = Callable[[str, np.ndarray, Stopwatch], Detections]


def draw_and_list(
    files: Sequence[str],
    out: Path,
    find: Find,
    max_pixels: int,
    class_names: Sequence[str] | None,
    min_score: float,
) -> int:
    """Draw and list what is found in each file, and say how long it took.

    An image that cannot be read is named and passed over; whatever was found before the end, even
    before an interruption, is listed.

    Args:
        files: image files.
        out: folder to write to.
        find: see `Find`; what it raises ends the work, after what was found is listed.
        max_pixels: images of more are not opened.
        class_names: of the classes 1..K; without, a class is called by its number.
        min_score: detections are drawn from this score on.

    Returns:
        how many files could not be read.
    """
    make_folder(out)
    found: dict[str, tuple[Detections, Sequence[str]]] = {}
    taken = {Path(name).resolve() for name in files}  # never draw over an original
    watch, failed = Stopwatch(), 0
    try:
        for name in files:
            watch.begin()
            try:
                with watch.stage("reading"):
                    image = _opened(name, max_pixels)
            except InputError as error:
                print(error, file=sys.stderr)
                failed += 1
                continue
            detections = find(name, image, watch)
            names = class_names or [
                f"class {k + 1}" for k in range(detections.classes.max(initial=0))
            ]
            shown = detections.above(min_score)
            target = _free(out / f"{Path(name).stem}.png", taken)
            with watch.stage("drawing"):
                save_drawing(draw_detections(image, shown, names), target)
            watch.end()
            found[name] = detections, names
            print(f"{printable(name)}: {len(shown)} objects, drawn in {printable(str(target))}")
    finally:
        _write_lists(out, found)
    print(watch.report(), file=sys.stderr)
    if failed:
        print(f"{failed} of {len(files)} files could not be read", file=sys.stderr)
    return failed


def _opened(name: str, max_pixels: int) -> np.ndarray:
    """An image file, unless it would take memory without measure."""
    header = read_header(name)
    if header.height * header.width > max_pixels:
        raise InputError(
            f"{name}: has {header.width} x {header.height} pixels; give --max-pixels to open more "
            f"than {max_pixels:,}, or scale it down"
        )
    return open_image(name)


def _free(target: Path, taken: set[Path]) -> Path:
    """A file name that is not taken, nor a file that is no drawing of ours; takes it."""
    while target.resolve() in taken or (os.path.lexists(target) and not is_drawing(target)):
        target = target.with_stem(target.stem + "_")
    taken.add(target.resolve())
    return target


def _write_lists(out: Path, found: dict[str, tuple[Detections, Sequence[str]]]) -> None:
    listed = {printable(file): d.to_json(names) for file, (d, names) in found.items()}
    write_json(out / "detections.json", listed)
    with (
        replacing(out / "detections.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, entries in listed.items():
            for entry in entries:
                writer.writerow([name, entry["class"], entry["score"], *entry["box"]])
    results = [
        entry
        for number, (file, (detections, names)) in enumerate(found.items(), start=1)
        for entry in coco_entries(
            detections, number, printable(file), names, range(1, len(names) + 1)
        )
    ]
    write_json(out / "detections_coco.json", results)
