"""What Windows lacks, taken away here: every module imports, and a run directory is locked."""

import subprocess
import sys

from tests.test_house import MODULES

# `python -m` alone runs these.
RUN_AS_SCRIPTS = {"keras_frcnn.cli.__main__", "keras_frcnn.custom_ops.__main__"}

# Beam asks for the system before it looks for fcntl, which is taken away here.
OF_BEAM = {"keras_frcnn.bulk.pipelines", "keras_frcnn.bulk.storage"}

SCRIPT = """
import importlib, os, sys, warnings
from pathlib import Path
for name in ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
del os.sched_getaffinity, os.sched_setaffinity
warnings.filterwarnings("ignore", "only soft file lock is available")
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnxruntime", "openvino", "torch"):  # peers in benchmarks
            raise

from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import _usable_processors
from keras_frcnn.runs.lock import only_training

assert _usable_processors() == os.cpu_count()
run = Path(sys.argv[1])
for _ in range(2):
    with only_training(run):
        try:
            with only_training(run):
                print("two trainings at once")
        except InputError as error:
            print(error)
"""


def test_without_what_windows_lacks(tmp_path):
    names = sorted(MODULES.keys() - RUN_AS_SCRIPTS - OF_BEAM)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *names], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    refused = f"{tmp_path}: another process is training in it; let it end, or give another --out"
    assert done.stdout.splitlines() == [refused] * 2
