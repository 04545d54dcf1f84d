"""Processes that search images: the parent's `Worker` and the loop that runs in the child.

The standard library's pools import the caller's main script again in every child, which would
load TensorFlow there and fail in a script without an `if __name__ == "__main__"` guard; forking
is no way out once TensorFlow has started its threads. These children import only what searching
needs, and they end by themselves when their parent is gone, however it went.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.opencv import opencv

# With `-m` or `-c` Python looks for modules in the current folder first, and would run a numpy.py.
# PYTHONSAFEPATH prevents that from Python 3.11 on; this does it in 3.10 as well.
START = """import sys
sys.path = [folder for folder in sys.path if folder]
from keras_frcnn.proposals.worker import serve
serve()"""


class Worker:
    """A child process that searches images, one at a time."""

    def __init__(self):
        path = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # The child finds the same modules as the parent.
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            # Ctrl-C goes to the parent alone, which then ends its children.
            start_new_session=True,  # passed over by Windows, which has the other
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can search: a search that has killed the child was its last."""
        return self._process.poll() is None

    def search(
        self,
        method: Callable[[np.ndarray], np.ndarray],
        path: str,
        orientation: int,
        content: bytes | None = None,
    ) -> np.ndarray:
        """What `method` gives for an image file; raises `InputError` if that is not possible.

        `path` and `content` are as in `images.read_header`.
        """
        try:
            pickle.dump((method, path, orientation, content), self._process.stdin)
            self._process.stdin.flush()
            result = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError) as error:
            status = self._process.wait()
            killed = "; the system may have run out of memory" if status == -9 else ""
            raise InputError(
                f"{path}: the process that searched it ended with exit status {status}{killed}"
            ) from error
        if isinstance(result, Exception):
            raise result
        return result

    def kill(self) -> None:
        """End the child at once; a search that waits for it in another thread then fails."""
        self._process.kill()
        self._process.wait()


def serve() -> None:
    """Answer requests until the parent sends no more: the child's main program."""
    from keras_frcnn.data.images import read_image

    with contextlib.suppress(InputError):  # a method of the caller's own may do without OpenCV
        opencv().setNumThreads(1)  # the processes share the cores already
    requests = sys.stdin.buffer
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        while True:
            method, path, orientation, content = pickle.load(requests)
            try:
                result = method(read_image(path, orientation, content))
            except InputError as error:
                result = error
            pickle.dump(result, answers)
            answers.flush()
    except (EOFError, BrokenPipeError):  # the parent has finished or is gone
        os._exit(0)  # not through the interpreter's exit, which would flush the broken pipe again
