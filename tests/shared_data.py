"""Photographs and weights for development, which lie beside the repository where there are any."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """The path of a file or folder of the development data; skips the test without it."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"development data {name} is not beside the repository")
    return path
