"""What Keras's `fit` needs for MultiWorkerMirroredStrategy, which it does not support by itself.

Two methods of its TensorFlow trainer reduce values over the replicas in ways that this strategy
refuses: `_maybe_symbolic_build` a nested batch (`ValueError: Attempt to convert a value ({...:
PerReplica...}) with an unsupported type`), and `reduce_per_replica` scalar metrics along an axis
(`Invalid reduction dimension 0 for input with 0 dimensions`); keras issue 20585. `adapt` replaces
both on one model and changes nothing of Keras. Tested with Keras 3.12.4, 3.13.2 and 3.15.1;
tests/training/test_keras_workers.py holds other versions to it.
"""

import types
from collections.abc import Callable

import keras
import tensorflow as tf


def adapt(model: keras.Model, is_stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Let `model.fit` work under MultiWorkerMirroredStrategy; call it after `compile`.

    Args:
        model: compiled in the strategy's scope.
        is_stopping: whether this worker wants to end the training; asked before each step.

    Returns:
        Whether any worker wanted to before the last step: the same answer on all of them.
    """
    model._maybe_symbolic_build = types.MethodType(_maybe_symbolic_build, model)
    train_function = _TrainFunction(model, is_stopping)
    # `make_train_function` keeps a function that is there.
    model.train_function = train_function
    return lambda: train_function.is_stopped


def _maybe_symbolic_build(self, iterator=None, data_batch=None):
    """Build from the shapes of the first device's part of a batch, which are all it takes."""
    strategy = self.distribute_strategy
    if iterator is not None:
        # Keras yields (step, iterator), from 3.13 on (step, step, iterator).
        batches = next(iter(iterator))[-1]
        data_batch = tf.nest.map_structure(
            lambda values: strategy.experimental_local_results(values)[0], next(batches)
        )
    with strategy.scope():
        self._symbolic_build(data_batch=data_batch)


class _TrainFunction:
    """A step of all workers; returns its logs, each the mean over all replicas."""

    def __init__(self, model: keras.Model, is_stopping: Callable[[], bool]):
        self.is_stopped = False
        self._is_stopping = is_stopping
        self._names: list[str] = []
        strategy = model.distribute_strategy

        @tf.function(reduce_retracing=True)
        def step(batch, stop):
            def on_replica(batch, stop):
                logs = model.train_step(batch)
                self._names = sorted(logs)
                # In one vector, which takes one exchange between the workers.
                values = [tf.cast(logs[name], tf.float32) for name in self._names]
                context = tf.distribute.get_replica_context()
                return context.all_reduce("MEAN", tf.stack([*values, stop]))

            means = strategy.run(on_replica, args=(batch, stop))
            return strategy.experimental_local_results(means)[0]

        self._step = step

    def __call__(self, iterator) -> dict[str, float]:
        *means, stopping = self._step(next(iterator), float(self._is_stopping())).numpy()
        self.is_stopped = bool(stopping > 0)
        return dict(zip(self._names, map(float, means), strict=True))
