"""Training steps of several programs, made in turn, and the stages of one."""

import statistics
from collections.abc import Mapping

from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.turns import STAGES, STEP, Program

WARMUP = 2  # steps, in which TensorFlow traces and both libraries choose and build kernels
PROFILED = 3  # steps

Steps = Mapping[str, list[tuple[float, float]]]  # (wall, processor) seconds of a program's steps


def take_turns(programs: Mapping[str, Program], rounds: int) -> Steps:
    """The steps of every program after its first ones."""
    for program in programs.values():
        for _ in range(WARMUP):
            program.ask(STEP)
    steps = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            steps[name].append(program.ask(STEP))
    return steps


def profile(program: Program) -> dict[str, float]:
    """The median wall seconds of each stage of some more steps."""
    profiles = [program.ask(STAGES) for _ in range(PROFILED)]
    return {stage: statistics.median(p[stage] for p in profiles) for stage in profiles[0]}


def medians(steps: list[tuple[float, float]]) -> tuple[float, float]:
    """Median wall and processor seconds."""
    wall, processor = (statistics.median(column) for column in zip(*steps, strict=True))
    return wall, processor


def format_stages(results: Mapping[str, Mapping[str, float]]) -> str:
    """The stages of some steps as a Markdown table: seconds and shares, a column for each step.

    A stage that none of them has is left out.
    """
    totals = [sum(stages.values()) for stages in results.values()]
    lines = [["stage", *results]]
    for stage in next(iter(results.values())):
        if not any(stages[stage] for stages in results.values()):
            continue
        cells = [
            f"{stages[stage]:.3f} s ({stages[stage] / total:.1%})"
            for stages, total in zip(results.values(), totals, strict=True)
        ]
        lines.append([stage, *cells])
    return markdown(lines)
