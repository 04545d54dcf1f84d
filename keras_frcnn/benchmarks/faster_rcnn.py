"""Times a whole detection by Faster R-CNN against Fast R-CNN with selective search.

`keras-frcnn bench faster-rcnn` takes photographs of 600 x 1000 pixels and VGG16 with 4096 units in
fc6 and fc7: uint8 pixels to detections, by Faster R-CNN with its own 300 proposals, and by Fast
R-CNN with 2000 proposals of selective search in fast mode, the search included. Search and
detectors are processes of their own and run in turn; medians count. See docs/detection_speed.md.

The weights are random, with the last layers of the region proposal network scaled as in `bench
proposals`.
"""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from keras_frcnn.benchmarks.detect_steps import (
    HEADS,
    POOL,
    PREPARE,
    SUPPRESS,
    TRUNK,
    Source,
)
from keras_frcnn.benchmarks.proposals_options import conditions, parser_of, precisions_of, show
from keras_frcnn.benchmarks.proposals_steps import (
    BOXES,
    DETECTION,
    LAYERS,
    SEARCH,
    Step,
    photographs,
)
from keras_frcnn.benchmarks.proposals_steps import SUPPRESS as SUPPRESS_ANCHORS
from keras_frcnn.benchmarks.tables import markdown, ms
from keras_frcnn.benchmarks.turns import OUTPUT, Program, time_steps

FAST, FASTER = "Fast R-CNN", "Faster R-CNN"
SEARCHER = "keras_frcnn.benchmarks.proposals_search"
DETECTOR = "keras_frcnn.benchmarks.faster_rcnn_stages"
# How many times as fast: at least, and hoped for.
AIMS = {"float32": (2.0, 2.3), "bfloat16": (2.5, 3.0)}
STAGES = {
    SEARCH: "proposals (selective search)",
    PREPARE: "scaling the image, finding distinct proposals",
    TRUNK: "trunk",
    LAYERS: "region proposal network",
    SUPPRESS_ANCHORS: "decoding and suppressing anchors",
    POOL: "RoI pooling",
    HEADS: "heads",
    SUPPRESS: "decoding and suppression",
}
OF = {FAST: (PREPARE, TRUNK, POOL, HEADS, SUPPRESS)}
OF[FASTER] = (PREPARE, TRUNK, LAYERS, SUPPRESS_ANCHORS, POOL, HEADS, SUPPRESS)

Times = Mapping[tuple[str, Step], float]  # median wall seconds by program and step


def steps_of(program: str, i: int, precisions: Sequence[str]) -> list[Step]:
    """What is timed of a program on photograph `i`; the stages on the first alone."""
    if program == SEARCH:
        return [Step(SEARCH, i)]
    whats = (DETECTION, *OF[program]) if i == 0 else (DETECTION,)
    return [Step(what, i, precision) for precision in precisions for what in whats]


def measure(
    source: Source,
    images: Sequence[np.ndarray],
    precisions: Sequence[str],
    threads: int,
    rounds: int,
) -> tuple[Times, dict[str, float]]:
    """Time all in turn.

    Args:
        source: of the detectors.
        images: uint8 RGB [H, W, 3].
        precisions, threads, rounds: as on the command line.

    Returns:
        The seconds, and how many proposals each detector has of an image in the mean.
    """
    programs = {SEARCH: Program(SEARCHER, threads, images)}
    try:
        proposals = [
            programs[SEARCH].ask((OUTPUT, Step(SEARCH, i)))[BOXES] for i in range(len(images))
        ]
        for name, given in ((FAST, proposals), (FASTER, None)):
            programs[name] = Program(DETECTOR, threads, source, images, given, precisions)
        pairs = [
            (name, step)
            for i in range(len(images))
            for name in programs
            for step in steps_of(name, i, precisions)
        ]
        taken = time_steps(programs, pairs, rounds)
        found = {FAST: statistics.mean(map(len, proposals))}
        made = [Step(DETECTION, i, precisions[0]) for i in range(len(images))]
        found[FASTER] = statistics.mean(
            len(programs[FASTER].ask((OUTPUT, step))["proposals"]) for step in made
        )
    finally:
        for program in programs.values():
            program.close()
    return {pair: statistics.median(seconds) for pair, seconds in taken.items()}, found


def of_photographs(times: Times, name: str, what: str, precision: str = "") -> list[float]:
    """A step's seconds on each photograph, in order."""
    return [
        seconds
        for (program, step), seconds in times.items()
        if (program, step.what, step.precision) == (name, what, precision)
    ]


def format_ratios(times: Times, precisions: Sequence[str]) -> str:
    """Whole detections as a Markdown table: medians over the photographs."""
    lines = [
        [
            *("precision", "search (ms)", f"{FAST} (ms)", "both (ms)", f"{FASTER} (ms)"),
            *("times as fast", "must", "aim"),
        ]
    ]
    searches = of_photographs(times, SEARCH, SEARCH)
    for precision in precisions:
        fast = of_photographs(times, FAST, DETECTION, precision)
        faster = of_photographs(times, FASTER, DETECTION, precision)
        both = [a + b for a, b in zip(searches, fast, strict=True)]
        columns = [statistics.median(column) for column in (searches, fast, both, faster)]
        ratio = columns[2] / columns[3]
        limits = (f"{limit:.1f}" for limit in AIMS[precision])
        lines.append([precision, *map(ms, columns), f"{ratio:.2f}", *limits])
    return markdown(lines)


def format_stages(times: Times, precisions: Sequence[str]) -> str:
    """Where the time goes on the first photograph, as a Markdown table."""
    columns = {}
    for precision in precisions:
        for name in (FAST, FASTER):
            column = {what: times[name, Step(what, 0, precision)] for what in OF[name]}
            if name == FAST:
                column[SEARCH] = times[SEARCH, Step(SEARCH, 0)]
            columns[f"{name}, {precision}"] = column
    lines = [["stage", *columns]]
    for what, name in STAGES.items():
        cells = (
            f"{ms(c[what])} ms ({c[what] / sum(c.values()):.1%})" if what in c else ""
            for c in columns.values()
        )
        lines.append([name, *cells])
    lines.append(["total", *(f"{ms(sum(c.values()))} ms" for c in columns.values())])
    return markdown(lines)


def main(argv: list[str]) -> int:
    """Measure, print the tables and save them; the exit status."""
    parser = parser_of("faster-rcnn", __doc__, "faster_rcnn_benchmark.md")
    args = parser.parse_args(argv)
    precisions = precisions_of(args)
    images = photographs(args.photos)
    times, found = measure(Source(), images, precisions, args.threads, args.rounds)
    text = (
        f"{conditions(args, len(images))} VGG16; {found[FAST]:.0f} proposals of selective search, "
        f"{found[FASTER]:.0f} of the network.\n\n"
        + format_ratios(times, precisions)
        + "\nStages of a detection in the first of them, each run by itself:\n\n"
        + format_stages(times, precisions)
    )
    show(text, args.out)
    return 0
