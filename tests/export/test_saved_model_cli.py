"""TensorFlow's own command for SavedModels reads and runs the export."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from keras_frcnn.data.images import open_image
from keras_frcnn.export.client import OUTPUTS
from keras_frcnn.export.saved_model import used_ops
from tests.export.requests import proposals_in
from tests.export.test_saved_model import assert_detections
from tests.shared_data import shared_data

HERE = Path(__file__).parent


def command(*arguments):
    """What `saved_model_cli` prints."""
    module = "tensorflow.python.tools.saved_model_cli"
    result = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_show(case):
    printed = command("show", "--all", "--dir", case.folder)
    shown, ops = printed.split("The MetaGraph with tag set ['serve'] contains")
    suffix = "" if case.detector.needs_proposals else "_faster"
    assert shown == (HERE / f"saved_model_cli_show{suffix}.txt").read_text()
    assert "CombinedNonMaxSuppression" in used_ops(case.folder) and "Frcnn" not in ops


def test_run_on_a_photograph(detector, exported, tmp_path):
    photograph = shared_data("bccd/JPEGImages") / "BloodImage_00007.jpg"
    image = open_image(photograph)
    height, width = image.shape[:2]
    boxes = proposals_in(height, width, 200)
    # Of objects, since NumPy's own strings drop zeros at their end.
    np.save(tmp_path / "image_bytes.npy", np.array([photograph.read_bytes()], object))
    np.save(tmp_path / "proposals.npy", boxes[None])
    command(
        "run",
        *("--dir", exported, "--tag_set", "serve", "--signature_def", "serving_default"),
        "--inputs",
        f"image_bytes={tmp_path / 'image_bytes.npy'};proposals={tmp_path / 'proposals.npy'}",
        *("--outdir", tmp_path / "out"),
    )
    outputs = {name: np.load(tmp_path / "out" / f"{name}.npy") for name in OUTPUTS}
    expected = detector.detect(image, boxes)
    assert len(expected) > 0
    assert_detections(outputs, 0, expected, height, width)
