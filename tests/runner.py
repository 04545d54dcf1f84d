"""Training runs in processes of their own, which a test can watch and kill."""

import contextlib
import json
import multiprocessing
import os
import socket
import sys

import pytest

# Each process is forked from one that has imported TensorFlow and done nothing with it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["keras_frcnn.training.fit", "tests.tiny", "pytest"])

EPOCH = 7  # mini-batches: short runs should have epochs as well


def start(*args, cpus=1, four_steps=False, **kwargs):
    """Start `training.train(*args, **kwargs)`, or the training in four steps, in a process.

    It has the trunk "tiny".

    Returns:
        The process, and a connection that gives the steps done as each mini-batch begins.
    """
    return _start(cpus, None, _train, four_steps, args, kwargs)


def start_in_process(function, *args, cpus=1, tf_config=None):
    """Start `function(*args)`, which trains, in a process with this `TF_CONFIG`; as `start`."""
    return _start(cpus, tf_config, function, *args)


def command(argv, output):
    """`keras-frcnn` with these arguments; all that it says goes into the file `output`."""
    from keras_frcnn.cli.__main__ import main

    with open(output, "ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.exit(main(argv))


def tf_configs(count=2):
    """The `TF_CONFIG` of each of so many workers on this machine, at ports that nobody uses."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    return [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}})
        for i in range(count)
    ]


def finish(process, steps, status=0):
    """Wait for the process; returns the steps at which mini-batches began."""
    seen = []
    try:
        while True:
            seen.append(steps.recv())
    except EOFError:
        process.join()
    assert process.exitcode == status
    return seen


def _start(cpus, tf_config, function, *args):
    steps, child_end = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_run, args=(child_end, cpus, tf_config, function, args))
    process.start()
    child_end.close()
    return process, steps


def _run(connection, cpus, tf_config, function, args):
    import tensorflow as tf

    from keras_frcnn.training import fit as training
    from tests.tiny import add_trunk

    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    if cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * cpus
        tf.config.set_logical_device_configuration(cpu, parts)
    add_trunk(pytest.MonkeyPatch())
    training.LOG_EVERY = EPOCH

    class Telling(training.StepCallbacks):
        def on_train_batch_begin(self, batch, logs=None):
            with contextlib.suppress(BrokenPipeError):  # nobody listens any more
                connection.send(int(self.model.optimizer.iterations.numpy()))
            super().on_train_batch_begin(batch, logs)

    training.StepCallbacks = Telling
    function(*args)


def _train(four_steps, args, kwargs):
    from keras_frcnn.training.alternating import train_alternating
    from keras_frcnn.training.fit import train

    (train_alternating if four_steps else train)(*args, **kwargs)
