"""Times a training step of the recipe `vgg16-voc07`: two images of 600 x 800 pixels, 128 RoIs.

`keras-frcnn bench train` compares the step fed by the input pipeline, from image files, with the
same step fed from memory and with a step of the same network in PyTorch, shows which stages take
the time, prints the tables and saves them. Each program is a process of its own; they make one
step in turn, so that whatever else the machine does meets all of them alike. Medians count.

`keras-frcnn bench train --memory` watches memory and tracing in a long training instead.
"""

import argparse
import os
import statistics
from importlib.util import find_spec
from pathlib import Path

from keras_frcnn.benchmarks.roi_pool_workload import processor_name
from keras_frcnn.benchmarks.turns import STAGES, STEP, Program
from keras_frcnn.files import replacing

PRECISIONS = ("float32", "mixed_bfloat16")
FILES, MEMORY = "from image files", "from memory"
TORCH = {"PyTorch, NCHW": False, "PyTorch, channels last": True}
WARMUP = 2  # steps, in which TensorFlow traces and both libraries choose and build kernels
PROFILED = 3  # steps


def measure(programs: dict[str, Program], rounds: int) -> tuple[dict, dict]:
    """The steps of every program, and the stages of the one that reads image files.

    Returns:
        The (wall, processor) seconds of each program's steps, and the median wall seconds of
        each stage.
    """
    try:
        for program in programs.values():
            for _ in range(WARMUP):
                program.ask(STEP)
        steps = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                steps[name].append(program.ask(STEP))
        profiles = [programs[FILES].ask(STAGES) for _ in range(PROFILED)]
    finally:
        for program in programs.values():
            program.close()
    return steps, {s: statistics.median(p[s] for p in profiles) for s in profiles[0]}


def our_programs(settings, size: tuple[int, int], batch: tuple, threads: int) -> dict:
    """`fit` with these settings on image files of (height, width) `size`, and on `batch` alone."""
    return {
        name: Program("keras_frcnn.benchmarks.train_keras", threads, settings, size, fed)
        for name, fed in ((FILES, None), (MEMORY, batch))
    }


def torch_programs(num_classes: int, precision: str, batch: tuple, threads: int) -> dict:
    """The same step in PyTorch, in both memory layouts; none where it is not installed."""
    if not find_spec("torch"):
        print("Without rows for PyTorch: it is not installed (pip install 'keras-frcnn[bench]')")
        return {}
    module = "keras_frcnn.benchmarks.train_torch"
    return {
        name: Program(module, threads, batch, num_classes, precision, channels_last)
        for name, channels_last in TORCH.items()
    }


def format_steps(results: dict[str, dict]) -> str:
    """The steps of each precision's programs as a Markdown table."""
    header = ["precision", "program", "step (s)", "processor (s)", "step / from memory"]
    lines = [header, ["---"] * len(header)]
    for precision, steps in results.items():
        memory = statistics.median(wall for wall, _ in steps[MEMORY])
        for name, times in steps.items():
            wall, processor = (statistics.median(column) for column in zip(*times, strict=True))
            numbers = [f"{wall:.2f}", f"{processor:.2f}", f"{wall / memory:.2f}"]
            lines.append([precision, name, *numbers])
    return _markdown(lines)


def format_stages(results: dict[str, dict]) -> str:
    """The stages of each precision's step as a Markdown table: seconds and shares."""
    header = ["stage", *results]
    lines = [header, ["---"] * len(header)]
    totals = [sum(stages.values()) for stages in results.values()]
    for stage in next(iter(results.values())):
        cells = [
            f"{stages[stage]:.3f} s ({stages[stage] / total:.1%})"
            for stages, total in zip(results.values(), totals, strict=True)
        ]
        lines.append([stage, *cells])
    return _markdown(lines)


def main(argv: list[str]) -> int:
    """Measure, print the tables and save them; the exit status."""
    parser = argparse.ArgumentParser(prog="keras-frcnn bench train", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("train_benchmark.md"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=10, help="measured steps of each program")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        action="append",
        help="may be repeated; default: float32, and mixed_bfloat16 where the processor or GPU "
        "multiplies it",
    )
    parser.add_argument("--memory", action="store_true", help="watch memory and tracing instead")
    arguments = parser.parse_args(argv)

    import tensorflow as tf

    about = f"{processor_name()}, {arguments.threads} threads, TensorFlow {tf.__version__}"
    if arguments.memory:
        from keras_frcnn.benchmarks.train_memory import watch

        text = f"{about}.\n\n{watch()}"
    else:
        from keras_frcnn.benchmarks.train_keras import one_batch, recipe_settings
        from keras_frcnn.benchmarks.train_workload import NUM_CLASSES, VOC_SIZE
        from keras_frcnn.training.devices import default_precision

        steps, stages = {}, {}
        precisions = arguments.precision or ["float32", default_precision()]
        for precision in dict.fromkeys(precisions):
            settings = recipe_settings(precision)
            batch = one_batch(settings, VOC_SIZE)
            programs = our_programs(settings, VOC_SIZE, batch, arguments.threads)
            programs |= torch_programs(NUM_CLASSES, precision, batch, arguments.threads)
            steps[precision], stages[precision] = measure(programs, arguments.rounds)
        text = (
            f"{about}; median of {arguments.rounds} steps.\n\n{format_steps(steps)}\n"
            f"Stages of the step from image files, medians of {PROFILED} steps:\n\n"
            f"{format_stages(stages)}"
        )
    print(text)
    with replacing(arguments.out) as partial:
        partial.write_text(text, "utf-8")
    print(f"Saved to {arguments.out}")
    return 0


def _markdown(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
