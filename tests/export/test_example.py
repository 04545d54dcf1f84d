"""The script in examples/serve.md."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.export.conftest import CLASSES
from tests.export.requests import encoded, photograph, proposals_in

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve.md"

# As where TensorFlow is all there is.
ALONE = "import sys; sys.modules['keras_frcnn'] = sys.modules['keras'] = None\n"


def test_script_prints_the_detections(case, tmp_path):
    (script,) = re.findall(r"```python\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    (tmp_path / "detect.py").write_text(ALONE + script)
    image, boxes = photograph(90, 120), proposals_in(90, 120, 60)
    (tmp_path / "some.jpg").write_bytes(encoded(image))
    np.save(tmp_path / "some.npy", boxes)
    more = ["some.npy"] if case.detector.needs_proposals else []
    result = subprocess.run(
        [sys.executable, "detect.py", str(case.folder), "some.jpg", *more],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    found = case.detect(image, boxes).above(0.5)
    assert len(found) > 0
    for line, box, score, k in zip(
        result.stdout.splitlines(), found.boxes, found.scores, found.classes, strict=True
    ):
        name, printed, at, *edges = line.split()
        assert (name, at) == (CLASSES[k - 1], "at")
        np.testing.assert_allclose(float(printed), score, atol=0.006)
        np.testing.assert_allclose(np.float32(edges), box / [120, 90, 120, 90], atol=0.002)
