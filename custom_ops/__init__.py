"""RoI pooling as a TensorFlow op of our own, with reference and portable versions.

Importing this package does not import TensorFlow: the NumPy reference and the CUDA kernels by
themselves run without it.
"""

__all__ = ["portable_ops", "roi_pool", "roi_pyramid_pool"]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keras_frcnn.custom_ops import ops

    return getattr(ops, name)
