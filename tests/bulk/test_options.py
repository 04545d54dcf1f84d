"""The same work is a pipeline of Beam's other runners: built and checked here, not run."""

import re
import sys

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PortableOptions,
    TypeOptions,
    WorkerOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms.environments import Environment

from keras_frcnn.bulk.models import Export
from keras_frcnn.bulk.pipelines import detect, is_direct, options_of, options_parser, search
from keras_frcnn.bulk.plan import cut
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.selective_search import SelectiveSearch

SHARDS = cut([f"gs://bucket/{i}.jpg" for i in range(5)], 2)
IMAGE = "registry/keras-frcnn:1"
CLUSTERS = {
    "FlinkRunner": f"--flink_master localhost:8081 --environment_type DOCKER "
    f"--environment_config {IMAGE} --parallelism 8",
    "SparkRunner": f"--spark_master_url local[4] --environment_type DOCKER "
    f"--environment_config {IMAGE}",
    "PortableRunner": f"--job_endpoint localhost:8099 --environment_type DOCKER "
    f"--environment_config {IMAGE}",
    "DataflowRunner": "--project my-project --region europe-west1 --temp_location "
    "gs://bucket-name/tmp --staging_location gs://bucket-name/staging --sdk_container_image "
    f"{IMAGE} --number_of_worker_harness_threads 1 --max_num_workers 50",
}


@pytest.mark.parametrize("runner", CLUSTERS)
@pytest.mark.parametrize("work", ["proposals", "detections"])
def test_pipelines_of_clusters_are_built(runner, work):
    arguments = ["--runner", runner, *CLUSTERS[runner].split()]
    options_parser().parse_args(arguments)
    options = options_of(arguments)
    assert not is_direct(options)
    pipeline = beam.Pipeline(options=options)
    assert type(pipeline.runner).__name__ == runner
    if work == "proposals":
        search(pipeline, SHARDS, "gs://bucket/out", SelectiveSearch())
    else:
        model = Export("gs://bucket/model/1", False, ("cat",), "portable", "export")
        detect(pipeline, SHARDS, "gs://bucket/out", model)
    # As the runners do it before they send it; it pickles all that workers get.
    environment = Environment.from_options(options.view_as(PortableOptions))
    built = pipeline.to_runner_api(default_environment=environment)
    names = {t.unique_name.split("/")[0] for t in built.components.transforms.values()}
    assert {"Shards", "Spread"} <= names
    assert names & {"Search", "Detect"} == {"Search" if work == "proposals" else "Detect"}
    images = [
        beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
        for environment in built.components.environments.values()
        if environment.urn == "beam:env:docker:v1"
    ]
    if runner == "DataflowRunner":  # which asks for it elsewhere
        images = [options.view_as(WorkerOptions).sdk_container_image]
    assert images == [IMAGE]


def test_the_direct_runner_starts_no_other_program():
    for arguments in ([], ["--runner", "DirectRunner"], ["--direct_num_workers", "3"]):
        options = options_of(arguments)
        assert is_direct(options)
        assert options.view_as(TypeOptions).allow_unsafe_triggers
    assert options.view_as(DirectOptions).direct_num_workers == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nonsense", "3"], "unrecognized arguments: --nonsense 3"),
        (["a.jpg"], "unrecognized arguments: a.jpg"),
        (["--direct_num_workers", "x"], "invalid int value"),
        (["--direct_running_mode", "x"], "invalid choice"),
    ],
)
def test_options_that_beam_does_not_know_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        options_parser().parse_args(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("python", ["/a b/python", "/a'b/python", "/a$b/python"])
def test_processes_that_could_not_start_are_refused(monkeypatch, python):
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(InputError, match=f"cannot start processes by {re.escape(python)}"):
        options_of(["--direct_running_mode", "multi_processing"])
    options_of(["--direct_running_mode", "multi_threading"])
    options_of(["--runner", "FlinkRunner", "--direct_running_mode", "multi_processing"])
