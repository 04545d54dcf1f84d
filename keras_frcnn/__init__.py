"""Fast R-CNN (Girshick 2015) for TensorFlow and Keras 3.

Importing this package does not import TensorFlow; its modules do when they are used.
"""

__version__ = "0.1.0"
