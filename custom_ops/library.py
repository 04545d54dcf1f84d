"""Loads the compiled op library, once, and registers the gradients of its ops."""

import contextlib
import functools
import warnings

import tensorflow as tf

from keras_frcnn.custom_ops.build import build, cuda_architectures, why_no_cuda
from keras_frcnn.custom_ops.self_test import compare_cpu_and_gpu
from keras_frcnn.errors import InputError


@functools.cache
def load_library():
    """The module of compiled ops, built first where it has to be; None where it cannot be had.

    A warning says, once, why it cannot and how to change that. So does one beside a GPU for
    which there are no kernels. Kernels for GPUs are compared with those for the CPU, once after
    they were built.

    Raises:
        SelfTestError: the GPU's results differ from the CPU's.
    """
    try:
        path = build()
        library = tf.load_op_library(str(path))
    # No compiler, or one that fails; a cache that cannot be written, or that others can write; a
    # library that the system does not let run, as on a disk that may hold no programs.
    except (RuntimeError, InputError, OSError, tf.errors.OpError) as error:
        warnings.warn(
            "RoI pooling runs on built-in TensorFlow ops, with the same results but slower:"
            f" {error}\nOnce solved, `python -m keras_frcnn.custom_ops` builds the fast op.",
            stacklevel=3,
        )
        return None
    if tf.config.list_logical_devices("GPU"):  # which leaves out those that the program hid
        _look_after_gpu(library, path)
    gradient = functools.partial(_gradient, library)
    tf.RegisterGradient("KerasFrcnn>RoiPool")(gradient)
    tf.RegisterGradient("KerasFrcnn>RoiPyramidPool")(gradient)
    tf.RegisterGradient("KerasFrcnn>RoiAlign")(functools.partial(_align_gradient, library))
    tf.RegisterGradient("KerasFrcnn>RoiAlignGrad")(functools.partial(_align_again, library))
    return library


def _look_after_gpu(library, path):
    if cuda_architectures(path) is None:
        warnings.warn(
            f"RoI pooling runs on the CPU beside this GPU, because {why_no_cuda(path)}\nOnce"
            " solved, `python -m keras_frcnn.custom_ops` builds the kernels for GPUs.",
            stacklevel=4,
        )
        return
    tested = path.with_suffix(".tested")
    if not tested.exists():
        with tf.init_scope():  # not as part of a graph that is being traced
            compare_cpu_and_gpu(library)
        with contextlib.suppress(OSError):  # a full disk: it is tested again the next time
            tested.touch()


def _gradient(library, op, grad_output, _):
    features, rois = op.inputs
    grad_features = library.keras_frcnn_roi_pool_grad(
        grad_output=grad_output,
        argmax=op.outputs[1],
        rois=rois,
        features_shape=tf.shape(features),
    )
    return grad_features, None


_ALIGN = ("spatial_scales", "sampling_ratio", "aligned")


def _align_gradient(library, op, grad_output):
    *maps, rois, levels = op.inputs
    grads = library.keras_frcnn_roi_align_grad(
        grad_output=grad_output,
        rois=rois,
        levels=levels,
        shapes=[tf.shape(values) for values in maps],
        **{name: op.get_attr(name) for name in _ALIGN},
    )
    return *grads, None, None


def _align_again(library, op, *grads):
    """RoIAlign is linear: the gradient of its gradient is RoIAlign itself."""
    grad_output, rois, levels, *shapes = op.inputs
    height, width = grad_output.shape[1:3]
    again = library.keras_frcnn_roi_align(
        list(grads),
        rois,
        levels,
        pooled_height=height,
        pooled_width=width,
        **{name: op.get_attr(name) for name in _ALIGN},
    )
    return again, None, None, *[None] * len(shapes)
