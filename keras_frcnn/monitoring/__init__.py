"""Seeing a model train: validation, pictures, gradient norms, logs and progress."""
