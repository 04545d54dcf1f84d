"""What a training runs on: the precision a machine is fast in, and devices that share the work.

`--devices` names those of one machine that share each mini-batch.
Each device holds a replica of the model and takes its part of the images; the gradients are
added up, so that a step is that of one device with all the images.
"""

import tensorflow as tf

from keras_frcnn.errors import InputError


def distribution(devices: str | None, images_per_batch: int) -> tf.distribute.Strategy:
    """The strategy that puts training on devices.

    Args:
        devices: "all" (all GPUs), a number of GPUs, or names separated by commas, such as
            "gpu:0,gpu:2"; None for TensorFlow's own choice of one device.
        images_per_batch: split evenly over the devices.

    Raises:
        InputError: there are no such devices, or they cannot share the images evenly.
    """
    if devices is None:
        return tf.distribute.get_strategy()
    names = _names(devices)
    if images_per_batch % len(names):
        raise InputError(
            f"devices: {len(names)} devices cannot share mini-batches of {images_per_batch} "
            "images evenly; let images_per_batch be a multiple of their number"
        )
    return tf.distribute.MirroredStrategy(names)


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
