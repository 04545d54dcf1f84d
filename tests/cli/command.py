"""`python -m tests.cli.command` is `keras-frcnn` with the tests' trunk "tiny"."""

import sys

import pytest

from keras_frcnn.cli.__main__ import main
from tests.tiny import add_trunk

if __name__ == "__main__":
    add_trunk(pytest.MonkeyPatch())
    sys.exit(main())
