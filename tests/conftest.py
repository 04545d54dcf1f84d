import os
import signal

import pytest

# The processes of `pytest -n` share the processors: TensorFlow's threads in each of them would be
# in each other's way. Programs that the tests start inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# A shell starts background jobs with SIGINT ignored, and their children inherit that: tests that
# interrupt a process would wait forever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def target_cache_of_the_tests(tmp_path_factory):
    """Statistics of test data do not belong into the user's cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_frcnn.batches.target_statistics.make_cache_folder", lambda _: folder)
        yield


@pytest.fixture(scope="module")
def tiny():
    """The trunk "tiny" for a module: `pytestmark = pytest.mark.usefixtures("tiny")`."""
    from tests.tiny import tiny_trunk  # imports Keras, which few tests need

    with tiny_trunk():
        yield


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until the test moves `now`, in seconds."""

    class Clock:
        now = 50.0

    monkeypatch.setattr("time.perf_counter", lambda: Clock.now)
    return Clock
