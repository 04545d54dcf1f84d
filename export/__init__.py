"""Export of a trained detector: SavedModel, truncated SVD, serving.

Importing this package does not import TensorFlow: the REST client runs without it.
"""

__all__ = ["compress"]


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keras_frcnn.export.svd import compress

    return compress
