"""What `TF_CONFIG` says of the workers, and who of them is lost."""

import json

import pytest
import tensorflow as tf

from keras_frcnn.errors import InputError, WorkersLost
from keras_frcnn.training.cluster import ALONE, Cluster, cluster, losses_named, silent
from keras_frcnn.training.devices import distribution
from tests import runner


def config(jobs, role="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": role, "index": index}})


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ALONE),
        ("{}", ALONE),
        ('{"cluster": {}, "task": {}}', ALONE),
        (config({"worker": ["a:1"]}), Cluster(("a:1",), 0)),
        (config({"worker": ["a:1", "b:2"]}, index=1), Cluster(("a:1", "b:2"), 1)),
        # A chief comes before worker 0.
        (
            config({"worker": ["b:1", "c:1"], "chief": ["a:1"]}, "chief"),
            Cluster(("a:1", "b:1", "c:1"), 0),
        ),
        (
            config({"worker": ["b:1", "c:1"], "chief": ["a:1"]}, index=1),
            Cluster(("a:1", "b:1", "c:1"), 2),
        ),
    ],
)
def test_clusters(monkeypatch, text, expected):
    monkeypatch.setenv("TF_CONFIG", text)
    found = cluster()
    assert found == expected
    assert found.count == len(expected.addresses) and found.is_first == (expected.index == 0)


def test_without_the_variable_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster() is ALONE


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"cluster": ["a:1"]}', "cannot be read"),
        (config({"worker": ["a:1", "b:1"]}, index=2), "its task .* is none of the cluster's"),
        (config({"worker": ["a:1", "b:1"]}, index=-1), "is none of the cluster's"),
        (config({"worker": ["a:1", "b:1"]}, index=True), "is none of the cluster's"),
        (config({"worker": ["a:1", "b:1"]}, index="0"), "is none of the cluster's"),
        (config({"worker": ["a:1", "b:1"]}, "chief"), "is none of the cluster's"),
        (json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}), "is none of the cluster's"),
        (config({"worker": ["a:1"], "ps": ["b:1"]}), "has the job 'ps'"),
        (config({"worker": ["a:1"], "evaluator": ["b:1"]}, "evaluator"), "the job 'evaluator'"),
        (config({"worker": ["a:1"], "chief": ["b:1", "c:1"]}), "has 2 chiefs"),
        (config({"worker": ["a:1", "a:1"]}), "two processes have the same address"),
    ],
)
def test_what_is_no_cluster_for_training(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=f"^TF_CONFIG: .*{message}"):
        cluster()


def test_devices_and_workers_exclude_each_other(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config({"worker": ["a:1", "b:1"]}))
    with pytest.raises(InputError, match="devices: TF_CONFIG names 2 workers"):
        distribution("2", 4)


def test_whoever_does_not_listen_is_named():
    import socket

    mine, other, gone = json.loads(runner.tf_configs(3)[0])["cluster"]["worker"]
    with socket.create_server(("127.0.0.1", int(other.rpartition(":")[2]))):
        workers = Cluster((mine, other, gone), 0)
        assert silent(workers) == [gone]
        with pytest.raises(WorkersLost, match=rf"the worker at {gone} has ended"):
            with losses_named(workers):
                raise tf.errors.UnavailableError(None, None, "peer")
        all_there = Cluster((mine, other), 0)
        with pytest.raises(WorkersLost, match=r"another worker has ended \(first line\)"):
            with losses_named(all_there):
                raise tf.errors.AbortedError(None, None, "first line\nsecond")


@pytest.mark.parametrize("error", [tf.errors.UnavailableError, tf.errors.InternalError])
def test_a_single_process_has_its_own_errors(error):
    with pytest.raises(error), losses_named(ALONE):
        raise error(None, None, "mine")


def test_errors_that_are_not_of_peers_stay(monkeypatch):
    workers = Cluster(("a:1", "b:1"), 0)
    with pytest.raises(tf.errors.ResourceExhaustedError), losses_named(workers):
        raise tf.errors.ResourceExhaustedError(None, None, "memory")
