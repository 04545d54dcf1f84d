"""Times making proposals by a network against selective search, on the same photographs.

`keras-frcnn bench proposals` takes photographs of 600 x 1000 pixels and the features that VGG16 and
SqueezeNet make of them, which a detector needs in any case. From there it measures the layers of
the region proposal network, decoding and suppression, and in turn with them selective search in
fast mode, each program in a process of its own. Medians count. See docs/detection_speed.md.

The weights are random, with the last layers scaled so that scores and offsets spread as those of a
trained network; `--run` measures a trained one as well.
"""

import statistics
from collections.abc import Mapping, Sequence

from keras_frcnn.benchmarks.proposals_options import conditions, parser_of, precisions_of, show
from keras_frcnn.benchmarks.proposals_steps import (
    LAYERS,
    NUMBERS,
    PROPOSE,
    SEARCH,
    SUPPRESS,
    Step,
    photographs,
)
from keras_frcnn.benchmarks.tables import markdown, ms
from keras_frcnn.benchmarks.turns import OUTPUT, Program, time_steps

TRUNKS = ("vgg16", "squeezenet")
SEARCHER = "keras_frcnn.benchmarks.proposals_search"
PROPOSER = "keras_frcnn.benchmarks.proposals_tensorflow"
# How many times as fast as selective search: at least, and hoped for.
MUSTS, AIM = {"float32": 8, "bfloat16": 10}, 15
AIM_SUPPRESS = 0.025  # seconds

Times = Mapping[tuple[str, Step], list[float]]  # wall seconds by program and step


def steps_of(images: int, precisions: Sequence[str]) -> list[Step]:
    """What is timed of a network, photograph by photograph."""
    return [
        step
        for i in range(images)
        for precision in precisions
        for step in (
            Step(LAYERS, i, precision),
            Step(PROPOSE, i, precision),
            *(Step(SUPPRESS, i, precision, numbers) for numbers in NUMBERS),
        )
    ]


def measure(
    images: Sequence,
    networks: Mapping[str, tuple],
    precisions: Sequence[str],
    threads: int,
    rounds: int,
) -> tuple[Times, dict[str, float]]:
    """Time all in turn.

    Args:
        images: uint8 RGB [H, W, 3].
        networks: trunk and run of each, by name.
        precisions, threads, rounds: as on the command line.

    Returns:
        The seconds, and how many proposals each network makes of an image in the mean.
    """
    programs = {SEARCH: Program(SEARCHER, threads, images)}
    for name, network in networks.items():
        programs[name] = Program(PROPOSER, threads, *network, images, precisions)
    turns = {name: steps_of(len(images), precisions) for name in networks}
    turns[SEARCH] = [Step(SEARCH, i) for i in range(len(images))]
    try:
        found = {name: _count(programs[name], len(images), precisions[0]) for name in networks}
        pairs = [
            (n, s)
            for i in range(len(images))
            for n in programs
            for s in turns[n]
            if s.photograph == i
        ]
        times = time_steps(programs, pairs, rounds)
    finally:
        for program in programs.values():
            program.close()
    return times, found


def median(times: Times, name: str, **which) -> float:
    """The median over photographs and rounds of a program's steps that are as asked."""
    return statistics.median(
        seconds
        for (program, step), column in times.items()
        for seconds in column
        if program == name and all(getattr(step, k) == v for k, v in which.items())
    )


def format_ratios(times: Times, networks: Sequence[str], precisions: Sequence[str]) -> str:
    """Proposals by each network against the search, as a Markdown table."""
    search = median(times, SEARCH)
    lines = [
        [
            *("network", "precision", f"{LAYERS} (ms)", f"{SUPPRESS} (ms)", "both in one (ms)"),
            *(f"{SEARCH} (ms)", "times as fast", "must", "aim"),
        ]
    ]
    for name in networks:
        for precision in precisions:
            layers, both = (
                median(times, name, what=what, precision=precision) for what in (LAYERS, PROPOSE)
            )
            suppress = median(times, name, what=SUPPRESS, precision=precision, numbers=NUMBERS[0])
            row = [name, precision, *map(ms, (layers, suppress, both, search))]
            lines.append([*row, f"{search / both:.1f}", f"{MUSTS[precision]}", f"{AIM}"])
    return markdown(lines)


def format_suppression(
    times: Times, networks: Sequence[str], precision: str, found: Mapping[str, float]
) -> str:
    """Decoding and suppression with the numbers of detection and of training, in milliseconds."""
    names = (f"{'all' if pre is None else pre} to {post}" for pre, post in NUMBERS)
    lines = [["network", *names, "proposals of an image"]]
    for name in networks:
        seconds = (
            median(times, name, what=SUPPRESS, precision=precision, numbers=numbers)
            for numbers in NUMBERS
        )
        lines.append([name, *map(ms, seconds), f"{found[name]:.0f}"])
    return markdown(lines)


def main(argv: list[str]) -> int:
    """Measure, print the tables and save them; the exit status."""
    parser = parser_of("proposals", __doc__, "proposals_benchmark.md")
    parser.add_argument("--run", help="a run of faster_rcnn or rpn, measured beside; at 600 pixels")
    parser.add_argument(
        "--trunk", choices=TRUNKS, action="append", help="may be repeated; default: both"
    )
    args = parser.parse_args(argv)
    precisions = precisions_of(args)
    networks = {trunk: (trunk, None) for trunk in args.trunk or TRUNKS}
    if args.run:
        networks["the run's"] = ("", args.run)
    images = photographs(args.photos)
    times, found = measure(images, networks, precisions, args.threads, args.rounds)
    text = (
        f"{conditions(args, len(images))}\n\n"
        + format_ratios(times, list(networks), precisions)
        + f"\nThe aim for decoding and suppression is {ms(AIM_SUPPRESS)} ms. With the numbers of "
        f"detection, joint training and the four steps, {precisions[0]}, milliseconds:\n\n"
        + format_suppression(times, list(networks), precisions[0], found)
    )
    show(text, args.out)
    return 0


def _count(program, images, precision):
    """Proposals of an image in the mean, in detection."""
    steps = (Step(PROPOSE, i, precision) for i in range(images))
    return statistics.mean(
        int((program.ask((OUTPUT, step))["objectness"] > 0).sum()) for step in steps
    )
