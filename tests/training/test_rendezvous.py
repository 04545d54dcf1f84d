"""Workers that wait for each other: late ones, missing ones, strangers."""

import json
import socket
import threading
import time

import pytest

from keras_frcnn.errors import InputError, WorkersLost
from keras_frcnn.training import rendezvous
from keras_frcnn.training.cluster import Cluster
from keras_frcnn.training.rendezvous import meet
from tests import runner


@pytest.fixture
def addresses():
    """Of three workers on this machine."""
    return tuple(json.loads(runner.tf_configs(3)[0])["cluster"]["worker"])


class Worker(threading.Thread):
    """A worker that meets the others in a thread; `outcome` is None or what it raised."""

    def __init__(self, addresses, index, seconds=20.0, delay=0.0):
        super().__init__(daemon=True)
        self.cluster, self.seconds, self.delay = Cluster(addresses, index), seconds, delay
        self.outcome = "nothing"
        self.start()

    def run(self):
        time.sleep(self.delay)
        try:
            self.outcome = meet(self.cluster, self.seconds)
        except (InputError, WorkersLost) as error:
            self.outcome = error

    def ended(self):
        self.join(30)
        assert not self.is_alive()
        return self.outcome


@pytest.mark.parametrize("late", [0, 1, 2])
def test_who_starts_late_is_waited_for(addresses, late):
    workers = [Worker(addresses, i, delay=1.0 if i == late else 0.0) for i in range(3)]
    time.sleep(0.5)
    assert all(worker.is_alive() for worker in workers)
    assert [worker.ended() for worker in workers] == [None] * 3
    # The port is free for TensorFlow's server.
    socket.create_server(("", int(addresses[0].rpartition(":")[2]))).close()


@pytest.mark.parametrize("missing", [1, 2])
def test_who_never_starts_is_named_by_all(addresses, missing):
    workers = [Worker(addresses, i, 1.0 if i == 0 else 20.0) for i in range(3) if i != missing]
    for worker in workers:
        error = worker.ended()
        assert isinstance(error, WorkersLost)
        assert str(error).startswith(f"{addresses[missing]} did not answer in ")


def test_without_the_first_the_others_name_it(addresses):
    error = Worker(addresses, 1, 0.5).ended()
    assert isinstance(error, WorkersLost)
    assert f"{addresses[0]}, the first of them, did not answer in" in str(error)


def test_a_worker_that_goes_before_all_are_there_is_waited_for_again(addresses):
    first = Worker(addresses, 0)
    port = int(addresses[0].rpartition(":")[2])
    name = rendezvous._name(Cluster(addresses, 1))
    time.sleep(0.2)
    with socket.create_connection(("127.0.0.1", port)) as gone:
        gone.sendall(f"1 {name}\n".encode())
        time.sleep(0.2)
    second = Worker(addresses, 2)
    time.sleep(1.5)
    assert first.is_alive() and second.is_alive()
    third = Worker(addresses, 1)
    assert [first.ended(), second.ended(), third.ended()] == [None] * 3


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"\xff\xfe", b"1", b"0 x", b"9 x"])
def test_strangers_are_none_of_the_workers(addresses, said):
    workers = [Worker(addresses, i) for i in (0, 2)]
    time.sleep(0.2)
    address = "127.0.0.1", int(addresses[0].rpartition(":")[2])
    with socket.create_connection(address) as stranger:
        stranger.sendall(said)
        if not said:
            stranger.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        assert all(worker.is_alive() for worker in workers)
    assert [w.ended() for w in (Worker(addresses, 1), *workers)] == [None] * 3


def test_a_worker_of_another_cluster_is_told(addresses):
    first = Worker(addresses, 0, 2.0)
    other = Worker((addresses[0], "127.0.0.1:1", addresses[2]), 1).ended()
    assert isinstance(other, InputError)
    assert f"the first worker, at {addresses[0]}, has another list of workers" in str(other)
    assert isinstance(first.ended(), WorkersLost)


def test_a_port_in_use_is_named(addresses):
    port = int(addresses[0].rpartition(":")[2])
    with socket.create_server(("", port)), pytest.raises(InputError, match=f":{port} .*in use"):
        meet(Cluster(addresses, 0), 1.0)


@pytest.mark.parametrize("address", ["host", ":80", "host:", "host:http", "host:65536", "host:-1"])
def test_an_address_that_is_none(address):
    for index in (0, 1):
        with pytest.raises(InputError, match="is no host:port"):
            meet(Cluster((address, "127.0.0.1:1"), index), 1.0)
