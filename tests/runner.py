"""Training runs in processes of their own, which a test can watch and kill."""

import multiprocessing

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
    steps, child_end = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_train, args=(child_end, cpus, four_steps, args, kwargs))
    process.start()
    child_end.close()
    return process, steps


def finish(process, steps):
    """Wait for the process; returns the steps at which mini-batches began."""
    seen = []
    try:
        while True:
            seen.append(steps.recv())
    except EOFError:
        process.join()
    assert process.exitcode == 0
    return seen


def _train(connection, cpus, four_steps, args, kwargs):
    import tensorflow as tf

    from keras_frcnn.training import fit as training
    from keras_frcnn.training.alternating import train_alternating
    from tests.tiny import add_trunk

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * cpus)
    add_trunk(pytest.MonkeyPatch())
    training.LOG_EVERY = EPOCH

    class Telling(training.StepCallbacks):
        def on_train_batch_begin(self, batch, logs=None):
            connection.send(int(self.model.optimizer.iterations.numpy()))
            super().on_train_batch_begin(batch, logs)

    training.StepCallbacks = Telling
    (train_alternating if four_steps else training.train)(*args, **kwargs)
