"""What a training runs on: the precision a machine is fast in, and devices that share the work.

`--devices` names those of one machine that share each mini-batch; `TF_CONFIG` names machines whose
devices do (`cluster`). Each device holds a replica of the model and takes its part of the images;
the gradients are added up, so that a step is that of one device with all the images.
"""

import functools

import tensorflow as tf

from keras_frcnn.errors import InputError
from keras_frcnn.training.cluster import VARIABLE, Cluster, cluster
from keras_frcnn.training.rendezvous import meet


def distribution(devices: str | None, images_per_batch: int) -> tf.distribute.Strategy:
    """The strategy that puts training on devices.

    Of several workers the same at every call; the first call comes before anything that TensorFlow
    computes, since its runtime takes part, and returns when all have started.

    Args:
        devices: "all" (all GPUs), a number of GPUs, or names separated by commas, such as
            "gpu:0,gpu:2"; None for TensorFlow's own choice of one device.
        images_per_batch: split evenly over the devices.

    Raises:
        InputError: there are no such devices, or they cannot share the images evenly.
        WorkersLost: another worker has not started in time.
    """
    workers = cluster()
    if workers.count > 1:
        if devices is not None:
            raise InputError(
                f"devices: {VARIABLE} names {workers.count} workers, each of which takes all GPUs "
                "that it sees; leave devices out, CUDA_VISIBLE_DEVICES chooses"
            )
        strategy = _worker_strategy(workers)
        _check_shares(strategy.num_replicas_in_sync, images_per_batch)
        return strategy
    if devices is None:
        return tf.distribute.get_strategy()
    names = _names(devices)
    _check_shares(len(names), images_per_batch)
    return tf.distribute.MirroredStrategy(names)


@functools.cache
def _worker_strategy(workers: Cluster) -> tf.distribute.Strategy:
    """The strategy for a cluster, which a process can have once."""
    meet(workers)
    communication = tf.distribute.experimental.CommunicationImplementation
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=communication.AUTO if has_gpu else communication.RING
    )
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def is_worker() -> bool:
    """Whether this process has met other workers."""
    return _worker_strategy.cache_info().currsize > 0


def _check_shares(count, images_per_batch):
    if images_per_batch % count:
        raise InputError(
            f"devices: {count} devices cannot share mini-batches of {images_per_batch} images "
            "evenly; let images_per_batch be a multiple of their number"
        )


def _names(devices: str) -> list[str]:
    """The names TensorFlow has for what was asked for."""
    present = [
        f"{device.device_type.lower()}:{device.name.rsplit(':', 1)[-1]}"
        for device in tf.config.list_logical_devices()
    ]
    gpus = [name for name in present if name.startswith("gpu:")]
    if devices == "all":
        names = gpus
    elif devices.isdecimal():
        names = gpus[: int(devices)] if int(devices) <= len(gpus) else []
    else:
        names = [name.strip().lower() for name in devices.split(",")]
    if not names or not set(names) <= set(present):
        raise InputError(
            f"devices: {devices!r} cannot be had; TensorFlow sees {len(gpus)} GPUs here and has "
            f"{', '.join(present)}"
        )
    if len(set(names)) < len(names) or len({name.split(":")[0] for name in names}) > 1:
        raise InputError(f"devices: {devices!r} must be different devices of one kind")
    return names


def default_precision() -> str:
    """`mixed_bfloat16` where the processor or the GPU multiplies bfloat16, else `float32`."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        has_bfloat16 = details.get("compute_capability", (0, 0)) >= (8, 0)
    else:
        has_bfloat16 = processor_has_bfloat16()
    return "mixed_bfloat16" if has_bfloat16 else "float32"


def processor_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
    except FileNotFoundError:  # not Linux: no word from the processor
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
