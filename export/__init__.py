"""Export of a trained detector: SavedModel, truncated SVD, serving."""

from keras_frcnn.export.svd import compress

__all__ = ["compress"]
