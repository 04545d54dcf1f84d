"""RoI pooling as a TensorFlow op of our own, with reference and portable versions."""

from keras_frcnn.custom_ops.roi_pool import portable_ops, roi_pool, roi_pyramid_pool

__all__ = ["portable_ops", "roi_pool", "roi_pyramid_pool"]
