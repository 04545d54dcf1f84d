"""Apache Beam around the functions of a shard: one shard is one element, and one file.

A shard is done when its file has its name. Images that failed are written first, beside it, so
that a process that dies in between leaves a shard that is not done, and nothing is lost.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)

from keras_frcnn.bulk import storage
from keras_frcnn.bulk.detect import detect_shard, to_lines
from keras_frcnn.bulk.models import Detect, Export, Run
from keras_frcnn.bulk.plan import Shard
from keras_frcnn.bulk.search import Failure, Searcher, search_shard
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.parquet import to_parquet
from keras_frcnn.shard_names import shard_name

COUNTERS = "keras_frcnn"  # the name space of what a job counts: images, failed, shards

_REFUSED = re.compile(r"^keras_frcnn\.errors\.InputError: (.*?)(?: \[while running .*\])?$", re.M)


class SearchShard(beam.DoFn):
    """Finds and writes the proposals of shards."""

    def __init__(self, folder: str, method: Callable[[np.ndarray], np.ndarray]):
        self.folder = folder
        self.method = method

    def setup(self):
        """Start the process that searches."""
        self._searcher = Searcher(self.method)

    def teardown(self):
        """End it."""
        self._searcher.close()

    def process(self, shard: Shard):
        """Yields the number of the shard when it is written."""
        rows, failures = search_shard(shard.images, storage.read, self._searcher)
        _write(self.folder, "proposals", shard, to_parquet(rows), failures)
        _count(len(rows), len(failures))
        yield shard.number


class ShardDetector(ModelHandler[Shard, PredictionResult, Detect]):
    """A model of RunInference, whose example is a shard; loaded once a process."""

    def __init__(self, model: Export | Run):
        super().__init__()
        self.model = model

    def load_model(self) -> Detect:
        """The detector."""
        return self.model.load()

    def batch_elements_kwargs(self):
        """One shard at a time: its images are batch enough."""
        return {"max_batch_size": 1}

    def run_inference(self, batch: Sequence[Shard], model: Detect, inference_args=None):
        """Yields the lines and the failures of each shard."""
        for shard in batch:
            yield PredictionResult(shard, detect_shard(shard, storage.read, model))


def write_detections(result: PredictionResult, folder: str) -> int:
    """Write what `ShardDetector` gives of a shard; its number."""
    shard, (lines, failures) = result.example, result.inference
    _write(folder, "detections", shard, to_lines(lines), failures)
    _count(len(lines), len(failures))
    return shard.number


def search(pipeline: beam.Pipeline, shards: Sequence[Shard], folder: str, method) -> None:
    """Add the search of these shards to a pipeline."""
    _spread(pipeline, shards) | "Search" >> beam.ParDo(SearchShard(folder, method))


def detect(
    pipeline: beam.Pipeline, shards: Sequence[Shard], folder: str, model: Export | Run
) -> None:
    """Add detection in these shards to a pipeline."""
    (
        _spread(pipeline, shards)
        | "Detect" >> RunInference(ShardDetector(model))
        | "Write" >> beam.Map(write_detections, folder)
    )


def options_parser() -> argparse.ArgumentParser:
    """Beam's own parser of all options of its runners, which refuses those that it does not know.

    `PipelineOptions` itself passes over unknown ones.
    """
    found = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=found.append)
    return found[0]


def options_of(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options, made fit for the DirectRunner where it is the runner.

    Raises:
        InputError: its processes could not be started here.
    """
    options = PipelineOptions(list(arguments))
    if is_direct(options):
        mode = options.view_as(DirectOptions).direct_running_mode
        # Beam gives the path to a shell as it is, and waits for the process without an end.
        if mode == "multi_processing" and shlex.quote(sys.executable) != sys.executable:
            raise InputError(
                f"--direct_running_mode: Beam cannot start processes by {sys.executable}, whose "
                "path a shell takes for something else; use multi_threading, or a virtual "
                "environment in a folder without spaces"
            )
        # There are no triggers. With this option the DirectRunner is Python alone; without it
        # downloads a program, Prism, wherever it can, and passes over the options of its workers.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
        # What goes wrong is raised here as well.
        workers = options.view_as(WorkerOptions)
        workers.default_sdk_harness_log_level = workers.default_sdk_harness_log_level or "CRITICAL"
    return options


def is_direct(options: PipelineOptions) -> bool:
    """Whether all runs on this machine, by the DirectRunner."""
    return (options.view_as(StandardOptions).runner or "DirectRunner").endswith("DirectRunner")


def run(options: PipelineOptions, add: Callable[[beam.Pipeline], None]) -> dict[str, int]:
    """Run what `add` puts into a pipeline to its end.

    Returns:
        what was counted, by name.

    Raises:
        InputError: a worker has raised one that was not of an image.
    """
    pipeline = beam.Pipeline(options=options)
    add(pipeline)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:  # of each runner its own, with the worker's traceback as its text
        if said := _REFUSED.findall(str(error)):
            raise InputError(said[-1]) from error
        raise
    counters = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    return {counter.key.metric.name: counter.result for counter in counters}


def _spread(pipeline, shards):
    # Without the shuffle all shards would be one bundle, of one worker.
    return pipeline | "Shards" >> beam.Create(shards) | "Spread" >> beam.Reshuffle()


def _write(folder: str, kind: str, shard: Shard, content: bytes, failures: list[Failure]) -> None:
    failed = storage.join(folder, shard_name("failed", shard.number, shard.count))
    if failures:
        storage.write(failed, to_lines(failures))
    else:
        storage.remove(failed)  # of an earlier attempt
    storage.write(storage.join(folder, shard_name(kind, shard.number, shard.count)), content)


def _count(images: int, failed: int) -> None:
    for name, number in (("images", images), ("failed", failed), ("shards", 1)):
        Metrics.counter(COUNTERS, name).inc(number)
