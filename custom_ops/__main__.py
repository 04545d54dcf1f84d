"""`python -m keras_frcnn.custom_ops`: build the op, and say what is in use."""

import sys

from keras_frcnn.notices import hide_notices


def main() -> int:
    """Build the op library, test it where there is a GPU, and print what it holds.

    Returns 1 where it cannot be had, or the GPU fails the test.
    """
    hide_notices()
    # Only now: these import TensorFlow.
    import tensorflow as tf

    from keras_frcnn.custom_ops.build import (
        build,
        cuda_architectures,
        instruction_set,
        why_no_cuda,
    )
    from keras_frcnn.custom_ops.compiler import find_compiler
    from keras_frcnn.custom_ops.library import load_library
    from keras_frcnn.custom_ops.self_test import SelfTestError
    from keras_frcnn.errors import InputError

    print(f"TensorFlow {tf.__version__}")
    try:
        path = build(again_without_cuda=True)
    except (RuntimeError, InputError, OSError) as error:
        print(f"RoI pooling: built-in TensorFlow ops, because {error}")
        return 1
    failure = None
    try:
        # Before the file is looked into, which loads it: TensorFlow sees a first load's ops alone.
        if load_library() is None:  # which has said why
            return 1
    except SelfTestError as error:
        failure = error
    print(f"RoI pooling: compiled op {path}")
    print(f"  built with {' '.join(find_compiler())}; CPU kernels: {instruction_set(path)}")
    if architectures := cuda_architectures(path):
        print(f"  CUDA kernels: {architectures}")
    else:
        print(f"  no CUDA kernels: {why_no_cuda(path)}")
    gpus = len(tf.config.list_physical_devices("GPU"))
    print(f"  TensorFlow sees {gpus} GPU{'s' if gpus != 1 else ''}")
    if failure:
        print(f"  NOT to be used on this GPU: {failure}")
    return 1 if failure else 0


sys.exit(main())
