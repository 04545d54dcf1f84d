"""`python -m keras_frcnn.custom_ops`: build the op, and say what is in use."""

import ctypes
import sys

import tensorflow as tf

from keras_frcnn.custom_ops.build import CompileError, NoCompilerError, build, find_compiler


def main() -> int:
    """Build the op library and print where it is; 1 where it cannot be built."""
    print(f"TensorFlow {tf.__version__}")
    try:
        path = build()
    except (NoCompilerError, CompileError) as error:
        print(f"RoI pooling: built-in TensorFlow ops, because {error}")
        return 1
    instruction_set = ctypes.CDLL(str(path)).KerasFrcnnCpuKernels
    instruction_set.restype = ctypes.c_char_p
    print(f"RoI pooling: compiled op {path}")
    print(f"  built with {' '.join(find_compiler())}; CPU kernels: {instruction_set().decode()}")
    return 0


sys.exit(main())
