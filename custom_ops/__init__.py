"""RoI pooling as a TensorFlow op of our own, with reference and portable versions."""
