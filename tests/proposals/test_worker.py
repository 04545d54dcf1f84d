"""How the child of a search is started."""

import os
import subprocess
import sys

from keras_frcnn.proposals import worker


def test_a_module_in_the_current_folder_does_not_run(tmp_path):
    """Without PYTHONSAFEPATH, as on Python 3.10, which does not know it."""
    for name in ("numpy", "cv2", "pickle", "keras_frcnn"):
        (tmp_path / f"{name}.py").write_text("print('planted')")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)

    def run(program):
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    done = run(worker.START)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "planted" in run("import numpy").stdout  # the test can fail


def test_the_worker_starts_by_it(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(worker.subprocess, "Popen", lambda *a, **k: started.append((a, k)))
    worker.Worker()
    (((command,), options),) = started
    assert command == [sys.executable, "-c", worker.START]
    assert options["env"]["PYTHONSAFEPATH"] == "1"
