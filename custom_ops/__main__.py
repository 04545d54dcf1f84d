"""`python -m keras_frcnn.custom_ops`: build the op, and say what is in use."""

import sys

import tensorflow as tf

from keras_frcnn.custom_ops.build import (
    CompileError,
    NoCompilerError,
    build,
    find_compiler,
    instruction_set,
)


def main() -> int:
    """Build the op library and print where it is; 1 where it cannot be built."""
    print(f"TensorFlow {tf.__version__}")
    try:
        path = build()
    except (NoCompilerError, CompileError) as error:
        print(f"RoI pooling: built-in TensorFlow ops, because {error}")
        return 1
    print(f"RoI pooling: compiled op {path}")
    print(f"  built with {' '.join(find_compiler())}; CPU kernels: {instruction_set(path)}")
    return 0


sys.exit(main())
