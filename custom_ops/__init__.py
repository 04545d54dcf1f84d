"""RoI pooling and RoIAlign as TensorFlow ops of our own, with reference and portable versions.

Importing this package does not import TensorFlow: the NumPy reference and the CUDA kernels by
themselves run without it.
"""

import importlib

_MODULES = {
    "portable_ops": "ops",
    "roi_align": "align",
    "roi_pool": "ops",
    "roi_pyramid_pool": "ops",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"keras_frcnn.custom_ops.{_MODULES[name]}")
    return getattr(module, name)
