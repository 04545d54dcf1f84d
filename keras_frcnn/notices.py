"""TensorFlow's start-up notices, kept out of what a command has to say.

TF_CPP_MIN_LOG_LEVEL hides what TensorFlow logs later, but its libraries log while they are being
loaded, before they read that variable, and straight to file descriptor 2. While TensorFlow is
imported, descriptor 2 therefore leads to a small process (this file, run as a script) that passes
on all but the notices. What else is written arrives at once, also where the import fails or the
process dies in it.
"""

import contextlib
import ctypes
import functools
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|To enable the following instructions: "  # the second line of a notice
    # Informations and warnings, in the two forms that TensorFlow's logs have had.
    rb"|[IW]\d{4} \d\d:\d\d:\d\d"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    # Logged as errors, and none:
    rb"|.*\] failed call to cuInit: .*(UNKNOWN ERROR \(303\)|CUDA_ERROR_NO_DEVICE)"  # no GPU
    rb"|.*\] Unable to register cu[A-Z]+ factory: "  # of a library that has been registered
    rb"|.*\] oneDNN supports DT_\w+ only on platforms with AVX-512"  # other kernels serve
)

# Logs, once in a process, that oneDNN has no kernels for a type, be it integers on any processor.
_ONEDNN_NOTICE = "_ZN10tensorflow26DataTypeUnsupportedWarningERKNS_8DataTypeE"
_DT_UINT8 = 4


def hide_notices() -> None:
    """Let TensorFlow write no notices when it is imported, nor of GPUs that are not there.

    A TF_CPP_MIN_LOG_LEVEL that the user has set is left as it is, and then nothing is hidden.
    """
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        if "tensorflow" not in sys.modules:
            sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds TensorFlow where it is, and has it loaded without notices, whoever imports it."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader.exec_module = functools.partial(_load, spec.loader.exec_module)
        return spec


def _load(exec_module, tensorflow) -> None:
    with _without_notices():
        exec_module(tensorflow)
        # What the first op would log: a look for GPUs, and a word on oneDNN.
        tensorflow.config.list_physical_devices("GPU")
        library = Path(tensorflow.sysconfig.get_lib()) / "libtensorflow_framework.so.2"
        if library.exists():
            notice = getattr(ctypes.CDLL(str(library)), _ONEDNN_NOTICE, None)
            if notice is not None:
                notice(ctypes.byref(ctypes.c_int(_DT_UINT8)))


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    if sys.stderr is None:  # closed, or there is no console
        yield
        return
    sys.stderr.flush()
    screen = os.dup(2)
    # Isolated and without site-packages, it starts in some hundredths of a second.
    filtering = subprocess.Popen([sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE)
    os.dup2(filtering.stdin.fileno(), 2)
    filtering.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        filtering.wait()


def _pass_on() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the command, and so this process
    for line in sys.stdin.buffer:
        if not _NOTICE.match(line):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    _pass_on()
