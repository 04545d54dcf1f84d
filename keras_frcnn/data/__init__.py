"""Data sets: TFDS Pascal VOC, folders in VOC format, and generated shapes, as one `Dataset`."""
