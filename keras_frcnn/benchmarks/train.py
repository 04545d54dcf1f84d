"""Times a training step of the recipe `vgg16-voc07`: two images of 600 x 800 pixels, 128 RoIs.

`keras-frcnn bench train` compares the step fed by the input pipeline, from image files, with the
same step fed from memory and with a step of the same network in PyTorch, shows which stages take
the time, prints the tables and saves them. Each program is a process of its own; they make one
step in turn, so that whatever else the machine does meets all of them alike. Medians count.

`keras-frcnn bench train --detector faster_rcnn` compares the joint training step of Faster R-CNN,
and that of region proposals on a frozen trunk, with this step, in time and in memory.

`keras-frcnn bench train --memory` watches memory and tracing in a long training instead.
"""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path

from keras_frcnn.benchmarks import train_faster
from keras_frcnn.benchmarks.roi_pool_workload import processor_name
from keras_frcnn.benchmarks.tables import markdown
from keras_frcnn.benchmarks.train_turns import (
    PROFILED,
    Steps,
    format_stages,
    medians,
    profile,
    take_turns,
)
from keras_frcnn.benchmarks.turns import Program
from keras_frcnn.files import replacing

PRECISIONS = ("float32", "mixed_bfloat16")
FILES, MEMORY = "from image files", "from memory"
TORCH = {"PyTorch, NCHW": False, "PyTorch, channels last": True}


def measure(programs: dict[str, Program], rounds: int) -> tuple[Steps, dict[str, float]]:
    """The steps of every program, and the stages of the one that reads image files."""
    try:
        return take_turns(programs, rounds), profile(programs[FILES])
    finally:
        for program in programs.values():
            program.close()


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


def format_steps(results: dict[str, Steps]) -> str:
    """The steps of each precision's programs as a Markdown table."""
    lines = [["precision", "program", "step (s)", "processor (s)", "step / from memory"]]
    for precision, steps in results.items():
        memory, _ = medians(steps[MEMORY])
        for name, times in steps.items():
            wall, processor = medians(times)
            numbers = [f"{wall:.2f}", f"{processor:.2f}", f"{wall / memory:.2f}"]
            lines.append([precision, name, *numbers])
    return markdown(lines)


def compare(precisions: list[str], threads: int, rounds: int) -> str:
    """The tables of Fast R-CNN's step, in Markdown."""
    from keras_frcnn.benchmarks.train_keras import one_batch, recipe_settings
    from keras_frcnn.benchmarks.train_workload import NUM_CLASSES, VOC_SIZE

    steps, stages = {}, {}
    for precision in precisions:
        settings = recipe_settings(precision)
        batch = one_batch(settings, VOC_SIZE)
        programs = our_programs(settings, VOC_SIZE, batch, threads)
        programs |= torch_programs(NUM_CLASSES, precision, batch, threads)
        steps[precision], stages[precision] = measure(programs, rounds)
    return (
        f"{format_steps(steps)}\n"
        f"Stages of the step from image files, medians of {PROFILED} steps:\n\n"
        f"{format_stages(stages)}"
    )


def main(argv: list[str]) -> int:
    """Measure, print the tables and save them; the exit status."""
    parser = argparse.ArgumentParser(
        prog="keras-frcnn bench train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    parser.add_argument(
        "--detector",
        choices=("fast_rcnn", "faster_rcnn"),
        default="fast_rcnn",
        help="faster_rcnn: its steps beside that of Fast R-CNN; with --memory, whose training is "
        "watched (%(default)s)",
    )
    parser.add_argument("--memory", action="store_true", help="watch memory and tracing instead")
    long = parser.add_argument_group("of --memory")
    long.add_argument("--steps", type=int, default=1000, help="of the training (%(default)s)")
    long.add_argument("--images", type=int, default=100, help="each of another size (%(default)s)")
    long.add_argument(
        "--vgg16",
        action="store_true",
        help="VGG16 at 600 pixels, hours in place of minutes; default: a small trunk on small "
        "images at five scales",
    )
    arguments = parser.parse_args(argv)

    import tensorflow as tf

    from keras_frcnn.training.devices import default_precision

    about = f"{processor_name()}, {arguments.threads} threads, TensorFlow {tf.__version__}"
    precisions = list(dict.fromkeys(arguments.precision or ["float32", default_precision()]))
    if arguments.memory:
        from keras_frcnn.benchmarks.train_memory import watch

        precision = (arguments.precision or [default_precision()])[0]
        text = f"{about}, {precision}.\n\n" + watch(
            arguments.detector,
            precision,
            arguments.vgg16,
            arguments.images,
            arguments.steps,
        )
    else:
        tables = train_faster.compare if arguments.detector == "faster_rcnn" else compare
        text = f"{about}; median of {arguments.rounds} steps.\n\n" + tables(
            precisions, arguments.threads, arguments.rounds
        )
    print(text)
    with replacing(arguments.out) as partial:
        partial.write_text(text, "utf-8")
    print(f"Saved to {arguments.out}")
    return 0
