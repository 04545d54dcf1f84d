"""Training steps of Faster R-CNN beside that of Fast R-CNN: `bench train --detector faster_rcnn`.

All are fed from the same image files, two images of 600 x 800 pixels a step: Fast R-CNN on 64 RoIs
of each, out of 2000 proposals that it is given; joint training on 256 anchors and 128 RoIs of each,
out of the 2000 that it makes itself; and region proposals alone on a frozen trunk, as in the third
of the four steps.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.train_turns import (
    PROFILED,
    Steps,
    format_stages,
    medians,
    profile,
    take_turns,
)
from keras_frcnn.benchmarks.turns import PEAK, Program

FAST, JOINT, FROZEN = "Fast R-CNN", "joint", "region proposals, frozen trunk"


@dataclass(frozen=True)
class Result:
    """What one precision gave."""

    steps: Steps
    peaks: Mapping[str, int]  # bytes of each program's process
    stages: Mapping[str, float]  # of the joint step

    def step(self, name: str) -> float:
        """Median wall seconds."""
        return medians(self.steps[name])[0]

    def proposals(self) -> float:
        """The share of making proposals, from the network's outputs on, in the joint step."""
        return self.stages["proposals"] / sum(self.stages.values())


# What is reported of a `Result`: how, what it must not exceed, and what it should not.
AIMS = {
    "joint step / step of Fast R-CNN": (lambda r: r.step(JOINT) / r.step(FAST), 1.35, None),
    "share of making proposals in it": (Result.proposals, 0.15, None),
    "peak memory, joint / Fast R-CNN": (lambda r: r.peaks[JOINT] / r.peaks[FAST], 1.25, None),
    "step of region proposals on a frozen trunk / step of Fast R-CNN": (
        lambda r: r.step(FROZEN) / r.step(FAST),
        None,
        0.4,
    ),
}


def programs(fast, joint, size: tuple[int, int], threads: int) -> dict[str, Program]:
    """`fit` on image files of (height, width) `size`.

    Args:
        fast, joint: settings of either detector.
    """
    rpn = dataclasses.replace(joint, detector="rpn")
    settings = {FAST: fast, JOINT: joint, FROZEN: rpn}
    module = "keras_frcnn.benchmarks.train_keras"
    return {
        name: Program(module, threads, s, size, None, "rpn" if name == FROZEN else None)
        for name, s in settings.items()
    }


def measure(programs: Mapping[str, Program], rounds: int) -> Result:
    """Make the steps, and end the programs."""
    try:
        steps = take_turns(programs, rounds)
        peaks = {name: program.ask(PEAK) for name, program in programs.items()}
        return Result(steps, peaks, profile(programs[JOINT]))
    finally:
        for program in programs.values():
            program.close()


def compare(precisions: list[str], threads: int, rounds: int) -> str:
    """The tables, in Markdown."""
    from keras_frcnn.benchmarks.train_keras import recipe_settings
    from keras_frcnn.benchmarks.train_workload import VOC_SIZE

    results = {}
    for precision in precisions:
        settings = (recipe_settings(precision, d) for d in ("fast_rcnn", "faster_rcnn"))
        results[precision] = measure(programs(*settings, VOC_SIZE, threads), rounds)
    return describe(results)


def describe(results: Mapping[str, Result]) -> str:
    """What each precision gave as Markdown tables."""
    stages = {precision: result.stages for precision, result in results.items()}
    return (
        f"{format_aims(results)}\n{format_steps(results)}\n"
        f"Stages of the joint step, medians of {PROFILED} steps:\n\n{format_stages(stages)}"
    )


def format_aims(results: Mapping[str, Result]) -> str:
    """The ratios that count beside what they must not exceed."""
    lines = [["what", *results, "must", "aim"]]
    for what, (ratio, must, aim) in AIMS.items():
        shown = [f"{ratio(result):.3f}" for result in results.values()]
        lines.append(
            [what, *shown, *("" if limit is None else f"{limit:g}" for limit in (must, aim))]
        )
    return markdown(lines)


def format_steps(results: Mapping[str, Result]) -> str:
    """The steps and the memory of each program."""
    lines = [["precision", "step", "step (s)", "processor (s)", "/ Fast R-CNN", "peak memory (MB)"]]
    for precision, result in results.items():
        for name, steps in result.steps.items():
            wall, processor = medians(steps)
            numbers = [f"{wall:.2f}", f"{processor:.2f}", f"{wall / result.step(FAST):.2f}"]
            lines.append([precision, name, *numbers, f"{result.peaks[name] / 1e6:.0f}"])
    return markdown(lines)
