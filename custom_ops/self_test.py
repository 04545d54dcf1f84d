"""Compares the GPU's kernels with the CPU's once, after they were built on a machine with a GPU."""

import numpy as np
import tensorflow as tf

from keras_frcnn.custom_ops.cases import random_features, random_rois

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)

# Samples at quarters of cells: all weights are multiples of 1/16, whose sums are the same in any
# order and in every type.
ALONE = np.float32([[0, 16, 32, 128, 144]])


class SelfTestError(RuntimeError):
    """The kernels of the GPU and of the CPU disagree, or the GPU cannot run them."""


def compare_cpu_and_gpu(library) -> None:
    """Pool, and differentiate, the same inputs on the CPU and on the first GPU.

    Args:
        library: the module of compiled ops.

    Raises:
        SelfTestError: outputs differ in a bit, or the GPU cannot run, or did not run, the kernels.
    """
    rois = random_rois(20, 2, 300, 400)
    for channels in (48, 5):  # read 16 bytes at a time, and one by one
        features = random_features((2, 20, 26, channels))
        for dtype in DTYPES:
            on_cpu = _results(library, "CPU:0", features, rois, dtype)
            try:
                on_gpu = _results(library, "GPU:0", features, rois, dtype)
            except tf.errors.OpError as error:
                raise SelfTestError(
                    f"RoI pooling or RoIAlign does not run on this GPU: {error}\nIts driver must"
                    " support the CUDA version of the nvcc that compiled it; CUDA_HOME chooses"
                    " another nvcc. `python -m keras_frcnn.custom_ops` says for which architectures"
                    " it was compiled, and KERAS_FRCNN_CUDA_ARCHITECTURES chooses others"
                ) from error
            for name, expected in on_cpu.items():
                if on_gpu[name].tobytes() != expected.tobytes():
                    raise SelfTestError(
                        f"this GPU gives another {name} in {dtype.name} with {channels} channels"
                        " than the CPU"
                    )


def _results(library, device, features, rois, dtype):
    with tf.device(device):
        features = tf.cast(features, dtype)
        output, argmax = library.keras_frcnn_roi_pool(
            features, rois, pooled_height=7, pooled_width=7, spatial_scale=1 / 16
        )
        # Small whole numbers, whose sums are the same in any order and in every type.
        grads = np.random.default_rng(0).integers(-2, 3, output.shape)
        gradient = library.keras_frcnn_roi_pool_grad(
            grad_output=tf.cast(grads, dtype),
            argmax=argmax,
            rois=rois,
            features_shape=features.shape.as_list(),
        )
        grid = {"spatial_scales": [1 / 16], "sampling_ratio": 2}
        levels = np.zeros(len(rois), np.int32)
        aligned = library.keras_frcnn_roi_align(
            [features], rois, levels, pooled_height=7, pooled_width=7, **grid
        )
        of_one = tf.zeros([1, 7, 7, features.shape[3]], dtype) + 1
        (align_gradient,) = library.keras_frcnn_roi_align_grad(
            grad_output=of_one,
            rois=ALONE,
            levels=levels[:1],
            shapes=[tf.constant(features.shape.as_list(), tf.int32)],
            **grid,
        )
    results = {
        "pooled output": output,
        "argmax": argmax,
        "gradient of pooling": gradient,
        "aligned output": aligned,
        "gradient of RoIAlign": align_gradient,
    }
    for name in set(results) - {"argmax"}:
        where = results[name].device
        if not where.endswith(device):  # TensorFlow may move what a device cannot run
            raise SelfTestError(f"the {name} was computed on {where}, not on {device}")
    return {name: result.numpy() for name, result in results.items()}
