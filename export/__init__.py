"""Export of a trained detector as a SavedModel."""
