"""Data sets: TFDS Pascal VOC, folders in VOC format, and generated shapes, as one `Dataset`."""

from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.data.load import load

__all__ = ["Dataset", "ImageRecord", "load"]
