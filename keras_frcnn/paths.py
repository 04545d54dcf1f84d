"""Where the project keeps what it can make again: compiled ops, proposals, generated data."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The cache folder: `$KERAS_FRCNN_CACHE`, else `keras-frcnn` in the user's cache folder."""
    if override := os.environ.get("KERAS_FRCNN_CACHE"):
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras-frcnn"
