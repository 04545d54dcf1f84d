"""Counting over the replicas of a mini-batch.

A module of its own: the losses are imported with Keras, whichever of them is named first.
"""

import tensorflow as tf


def count_of_mini_batch(real: tf.Tensor) -> tf.Tensor:
    """How many hold in the whole mini-batch, on all replicas: RoIs that are real, or cells.

    At least 1, so that a batch of padding alone has loss 0.
    """
    count = tf.reduce_sum(tf.cast(real, tf.float32))
    replica = tf.distribute.get_replica_context()
    if replica is not None:  # None while Keras infers shapes inside a strategy's scope
        count = replica.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.maximum(count, 1.0)
