"""What TensorFlow writes when it is imported, played by a package of its name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

NOTICES = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795656547.814988    8414 port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
2024-11-05 10:12:13.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
E0000 00:00:1795656547.814988    8414 cuda_dnn.cc:8310] Unable to register cuDNN factory: again
E0000 00:00:1795656547.8    8414 util.cc:131] oneDNN supports DT_INT8 only on platforms with AVX-512
"""
MESSAGES = """\
E0000 00:00:1795656547.814988    8414 cuda_dnn.cc:8310] Loaded runtime CuDNN library: too old
F0000 00:00:1795656547.814988    8414 cpu_feature_guard.cc:110] compiled to use AVX instructions
a message of another library
"""
NO_GPU = "E0000 00:00:1 1 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)"
BROKEN_GPU = "E0000 00:00:1 1 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_UNKNOWN"

PACKAGE = f"""
import os, warnings
os.write(2, {NOTICES.encode()!r})
os.write(2, {MESSAGES.encode()!r})
warnings.warn("a warning of Python")
END
class config:
    def list_physical_devices(kind):
        os.write(2, b"{NO_GPU}\\n{BROKEN_GPU}\\n")
class sysconfig:
    def get_lib():
        return "nowhere"
"""
PROGRAM = """
import os
from keras_frcnn.notices import hide_notices
hide_notices()
import tensorflow
assert tensorflow.__spec__.loader.get_source("tensorflow")
os.write(2, b"I0000 00:00:1 1 a.cc:1] after the import\\n")
"""


@pytest.fixture
def run(tmp_path):
    def run(end="", **environment):
        (tmp_path / "tensorflow.py").write_text(PACKAGE.replace("END", end))
        path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
        env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**env, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
        )

    return run


def test_notices_are_hidden_and_nothing_else(run):
    done = run()
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[:3] == MESSAGES.splitlines()
    assert lines[3].endswith("UserWarning: a warning of Python")
    assert lines[-2:] == [BROKEN_GPU, "I0000 00:00:1 1 a.cc:1] after the import"]
    assert not set(lines) & {*NOTICES.splitlines(), NO_GPU}


def test_a_failing_import_is_shown_whole(run):
    done = run("raise ImportError('libcudart is missing')")
    assert done.returncode == 1
    assert MESSAGES in done.stderr
    assert done.stderr.endswith("ImportError: libcudart is missing\n")


@pytest.mark.skipif(os.name != "posix", reason="looks for a POSIX signal")
def test_a_process_that_dies_in_the_import_says_why(run):
    done = run("os.abort()")
    assert done.returncode == -signal.SIGABRT
    assert MESSAGES in done.stderr


def test_the_users_own_level_wins(run):
    done = run(TF_CPP_MIN_LOG_LEVEL="0")
    assert NOTICES + MESSAGES in done.stderr
    assert "(303)" not in done.stderr  # nothing but the import is done
