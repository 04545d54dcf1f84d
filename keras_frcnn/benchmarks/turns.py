"""Measuring several programs in turn: each in a process of its own, idle while another runs.

Thread pools of two libraries in one process would fight for the processors, and what else the
machine does meets all programs alike when each makes one step at a time.
"""

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from multiprocessing.connection import Connection

import numpy as np

STEP = "step"  # the question for a step's (wall, processor) seconds
STAGES = "stages"  # the question for a step's wall seconds by stage
OUTPUT = "output"  # the question for what a step returns
PEAK = "peak"  # the question for the most memory that the program has taken so far, in bytes


class Program:
    """A child process that answers questions, mostly by making one step.

    Args:
        module: its `serve` is called in the child, with the child's end of the pipe, `threads` and
            `arguments`. The parent does not import it.
        threads: processors that the child may use.
    """

    def __init__(self, module: str, threads: int, *arguments):
        # Not by fork: TensorFlow does not survive it.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(module, theirs, threads, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def ask(self, question):
        """The answer of the child; to `STEP` the (wall, processor) seconds that it took."""
        try:
            self._pipe.send(question)
            return self._pipe.recv()
        except (EOFError, ConnectionError):  # the latter where it ended before it read the question
            self._process.join()
            raise RuntimeError(
                f"a measured program ended with status {self._process.exitcode}; what it had to "
                "say stands above"
            ) from None

    def close(self) -> None:
        """End the child."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()


def time_steps(
    programs: Mapping[str, Program], steps: Sequence[tuple[str, Hashable]], rounds: int
) -> dict[tuple[str, Hashable], list[float]]:
    """The wall seconds of steps of several programs (`answer_named`), a number for each round.

    Args:
        programs: by name.
        steps: the name of a program and that of its step, in the order of a round.
        rounds: how many are measured, after one in which the programs arrange their weights.
    """
    for name, step in steps:
        programs[name].ask((STEP, step))
    times = {pair: [] for pair in steps}
    for _ in range(rounds):
        for name, step in steps:
            times[name, step].append(programs[name].ask((STEP, step))[0])
    return times


class Stopwatch:
    """(wall, processor) seconds since it was made."""

    def __init__(self):
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Seconds so far; the processor's are those of all threads of this process."""
        return time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def answer_steps(pipe: Connection, step: Callable[[], None]) -> None:
    """Make a step at every question."""
    while True:
        pipe.recv()
        watch = Stopwatch()
        step()
        pipe.send(watch.read())


def answer_named(pipe: Connection, steps: Mapping[Hashable, Callable]) -> None:
    """Make one of several steps at every question, a pair (`STEP` or `OUTPUT`, the step's name).

    A step returns tensors of any library by name; `OUTPUT` asks for them as NumPy arrays.
    """
    while True:
        question, name = pipe.recv()
        watch = Stopwatch()
        output = steps[name]()
        seconds = watch.read()
        if question == STEP:
            pipe.send(seconds)
        else:
            pipe.send({name: np.asarray(value) for name, value in output.items()})


def _run(module, pipe, threads, *arguments):
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    importlib.import_module(module).serve(pipe, threads, *arguments)
