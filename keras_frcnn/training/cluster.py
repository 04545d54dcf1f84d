"""The processes of a training on several machines: who they are, and what they must agree on.

`TF_CONFIG` names them, as Kubernetes' operators, Slurm scripts and Ray Train set it for TensorFlow:
{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}. The first,
`chief` or worker 0, writes the run; the others read what it has written. There is no elasticity:
when one is gone, all are started again, by whatever started them.
"""

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import tensorflow as tf

from keras_frcnn.errors import InputError, WorkersLost, shown

VARIABLE = "TF_CONFIG"
_CONNECT_SECONDS = 3.0
_ROLES = ("chief", "worker")
# What TensorFlow raises in a step when a process of the cluster is gone.
_LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.InternalError, tf.errors.FailedPreconditionError),
)


@dataclass(frozen=True)
class Cluster:
    """The processes of a training and which of them this is."""

    addresses: tuple[str, ...]  # host:port of each, the chief first
    index: int

    @property
    def count(self) -> int:
        """How many processes there are; one without a `TF_CONFIG`."""
        return len(self.addresses)

    @property
    def is_first(self) -> bool:
        """Whether this one writes the run."""
        return self.index == 0


ALONE = Cluster(("",), 0)


def cluster() -> Cluster:
    """The cluster that `TF_CONFIG` describes; one process where it is not set.

    Raises:
        InputError: it cannot be read, or has tasks that a synchronous training has not.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        jobs, task = config.get("cluster") or {}, config.get("task") or {}
        addresses = {job: list(jobs[job]) for job in jobs}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{VARIABLE}: cannot be read ({error}); it is {shown(text)}") from error
    if not jobs:
        return ALONE
    if unknown := sorted(set(jobs) - set(_ROLES)):
        raise InputError(
            f"{VARIABLE}: has the job {unknown[0]!r}; training takes workers, the first of which "
            "may be called chief, and no parameter servers or evaluators"
        )
    if len(addresses.get("chief", [])) > 1:
        raise InputError(f"{VARIABLE}: has {len(addresses['chief'])} chiefs; one is the first")
    role, index = task.get("type"), task.get("index")
    if role not in jobs or index not in range(len(addresses[role])) or isinstance(index, bool):
        raise InputError(
            f"{VARIABLE}: its task {shown(task)} is none of the cluster's; it is the job and the "
            "number of this process, such as {'type': 'worker', 'index': 0}"
        )
    chiefs = addresses.get("chief", [])
    everyone = tuple(map(str, chiefs + addresses.get("worker", [])))
    if len(set(everyone)) < len(everyone):
        raise InputError(f"{VARIABLE}: two processes have the same address")
    return Cluster(everyone, index + (len(chiefs) if role == "worker" else 0))


def silent(workers: Cluster) -> list[str]:
    """Addresses of the others at which nobody listens."""
    found = []
    for address in set(workers.addresses) - {workers.addresses[workers.index]}:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, ValueError):
            found.append(address)
    return sorted(found)


@contextmanager
def losses_named(workers: Cluster) -> Iterator[None]:
    """Say so if the block fails because another process is gone.

    Raises:
        WorkersLost: it does.
    """
    try:
        yield
    except _LOST as error:
        if workers.count == 1:
            raise
        lost = silent(workers)
        if lost:
            who = f"the worker at {', '.join(lost)} has ended"
        else:  # it may have been started again by now
            who = f"another worker has ended ({error.message.splitlines()[0][:200]})"
        raise WorkersLost(
            f"{who}, and a training cannot go on without it: start all of them again, with --resume"
        ) from error


def check_same(
    workers: Cluster, strategy: tf.distribute.Strategy, values: Mapping[str, object]
) -> None:
    """Refuse workers that would train different things.

    Args:
        values: by what they are called in a message; compared by what `repr` gives.

    Raises:
        InputError: a value is not the same on all workers; on all of them.
    """
    if workers.count == 1:
        return
    # Numbers below 2**16, whose sums over 2**8 workers are exact.
    rows = [_digits(repr(value)) for value in values.values()]
    mine = tf.constant(rows, tf.float32)
    shown_here = tf.one_hot(workers.index, workers.count)[:, None, None] * mine
    by_worker = sum_over(workers, strategy, shown_here).numpy()
    for place, name in enumerate(values):
        others = [w for w in range(workers.count) if (by_worker[w] != by_worker[0])[place].any()]
        if others:
            raise InputError(
                f"worker {others[0]} ({workers.addresses[others[0]]}) has other {name} than the "
                "first: give all workers the same command and the same files, and a run directory "
                "on storage that all of them share"
            )


def barrier(workers: Cluster, strategy: tf.distribute.Strategy) -> None:
    """Return when all workers have come so far; whoever ended earlier would be taken for lost.

    Raises:
        WorkersLost: one is gone.
    """
    if workers.count > 1:
        with losses_named(workers):
            sum_over(workers, strategy, tf.zeros([]))


def end_together(workers: Cluster, strategy: tf.distribute.Strategy) -> None:
    """Return when all workers have done their work, and none needs another to have this from it.

    Raises:
        WorkersLost: one is gone before it was done.
    """
    barrier(workers, strategy)
    # Whoever leaves first may be gone while others still fetch from it that the first barrier is
    # passed. They stay for a second one; to be here says that all have done their work.
    with contextlib.suppress(WorkersLost):
        barrier(workers, strategy)


@contextmanager
def first_before_others(workers: Cluster, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """The first worker is done with the block before the others begin it.

    So they find in the cache, where they share it, what the first one has searched for.

    Raises:
        WorkersLost: the first one has failed.
    """
    if not workers.is_first:
        barrier(workers, strategy)
    yield
    if workers.is_first:
        barrier(workers, strategy)


def sum_over(workers: Cluster, strategy: tf.distribute.Strategy, value: tf.Tensor) -> tf.Tensor:
    """The sum of a worker's value and those of the others, which all call this."""
    devices = strategy.num_replicas_in_sync // workers.count  # of a worker, whose value counts once

    @tf.function
    def summed(value):
        def on_replica(value):
            return tf.distribute.get_replica_context().all_reduce("SUM", value / devices)

        return strategy.run(on_replica, args=(value,))

    return strategy.experimental_local_results(summed(value))[0]


def _digits(text: str) -> list[int]:
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return [int.from_bytes(digest[i : i + 2], "big") for i in range(0, 16, 2)]
