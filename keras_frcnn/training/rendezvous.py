"""Workers of a training wait for each other here, before TensorFlow does.

TensorFlow's own wait for a worker that never starts has no end and cannot be left: it holds the
interpreter, so that neither Ctrl-C nor a timer gets through. So the first worker listens at its
address until all others have said that they are there, and gives way to TensorFlow's server.
"""

import contextlib
import hashlib
import socket
import time

from keras_frcnn.errors import InputError, WorkersLost
from keras_frcnn.training.cluster import VARIABLE, Cluster

START_SECONDS = 600.0  # that the first to start wait for the last: images may have to be pulled
_HELLO_SECONDS = 5.0  # for a stranger to say who it is
_PAUSE = 0.2  # seconds between attempts
_LINE = 4096  # bytes of a message, at most
_GO, _OTHER, _MISSING = "go", "other", "missing "


def meet(workers: Cluster, seconds: float | None = None) -> None:
    """Return when all workers are there.

    Args:
        seconds: to wait; `START_SECONDS` by default.

    Raises:
        WorkersLost: some were not there in time; the addresses are named, on all that were.
        InputError: this worker's cluster is not that of the first, or its address cannot be used.
    """
    deadline = time.monotonic() + (START_SECONDS if seconds is None else seconds)
    (_gather if workers.is_first else _join)(workers, deadline)


def _gather(workers: Cluster, deadline: float) -> None:
    begun = time.monotonic()
    _, port = _host_and_port(workers.addresses[0])
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=is_dual)
    except OSError as error:
        raise InputError(
            f"{VARIABLE}: this process cannot listen at {workers.addresses[0]} ({error.strerror}); "
            "end what uses the port, or name another"
        ) from error
    here: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        while True:
            here = {index: peer for index, peer in here.items() if _is_open(peer)}
            missing = [i for i in range(1, workers.count) if i not in here]
            left = deadline - time.monotonic()
            if not missing:
                _tell(here, _GO)
                return
            if left <= 0:
                names = ", ".join(workers.addresses[i] for i in missing)
                _tell(here, _MISSING + names)
                raise _lost(time.monotonic() - begun, names)
            server.settimeout(min(left, 1.0))
            try:
                peer, _ = server.accept()
            except TimeoutError:
                continue
            stack.enter_context(peer)
            index = _introduced(peer, workers)
            if index is not None:
                here[index] = peer


def _introduced(peer: socket.socket, workers: Cluster) -> int | None:
    """The number of the worker that has connected; None for a stranger."""
    peer.settimeout(_HELLO_SECONDS)
    try:
        index, _, name = peer.recv(_LINE).decode().strip().partition(" ")
        if name == _name(workers) and int(index) in range(1, workers.count):
            return int(index)
        peer.sendall(_OTHER.encode())
    except (OSError, ValueError):
        pass  # a probe of a port scanner or a launcher, no worker
    return None


def _join(workers: Cluster, deadline: float) -> None:
    begun = time.monotonic()
    first = workers.addresses[0]
    address = _host_and_port(first)
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(address, timeout=min(left, _HELLO_SECONDS)) as peer:
                peer.sendall(f"{workers.index} {_name(workers)}\n".encode())
                # The first one's time may end later than this one's, and its answer is the better.
                peer.settimeout(left + START_SECONDS)
                answer = peer.recv(_LINE).decode()
        except (OSError, ValueError):
            answer = ""  # it has not started, or ended before it answered: perhaps it starts again
        if answer == _GO:
            return
        if answer.startswith(_MISSING):
            raise _lost(time.monotonic() - begun, answer.removeprefix(_MISSING))
        if answer == _OTHER:
            raise InputError(
                f"{VARIABLE}: the first worker, at {first}, has another list of workers; give all "
                "of them the same cluster"
            )
        time.sleep(_PAUSE)
    raise _lost(time.monotonic() - begun, f"{first}, the first of them,")


def _lost(seconds: float, names: str) -> WorkersLost:
    return WorkersLost(
        f"{names} did not answer in {seconds:.0f} seconds: see why it has not started, and start "
        "all workers again"
    )


def _tell(peers: dict[int, socket.socket], text: str) -> None:
    for peer in peers.values():
        with contextlib.suppress(OSError):  # who has gone meanwhile is missed by TensorFlow
            peer.sendall(text.encode())


def _is_open(peer: socket.socket) -> bool:
    """Whether the other side is still there, which sends nothing while it waits."""
    peer.settimeout(0)
    try:
        return peer.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _name(workers: Cluster) -> str:
    return hashlib.sha256(" ".join(workers.addresses).encode()).hexdigest()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{VARIABLE}: {address!r} is no host:port")
    return host.strip("[]"), int(port)
