import os
import subprocess
import sys

import numpy as np

from tests.export.conftest import small_model

# Nothing but one import: no `custom_objects`, and no code from the file.
LOAD = """
import sys, keras
import keras_frcnn.models.fast_rcnn
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
given = dict(__import__("numpy").load(sys.argv[2]))
__import__("numpy").savez(sys.argv[3], **{k: v.numpy() for k, v in model(given).items()})
"""


def test_a_keras_file_needs_one_import_in_a_fresh_process(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    given = {
        "images": rng.normal(0, 50, (1, 64, 80, 3)).astype(np.float32),
        "rois": np.array([[[3, 4, 50, 60], [10, 0, 79, 30]]], np.float32),
    }
    np.savez(tmp_path / "in.npz", **given)
    names = [str(tmp_path / name) for name in ("model.keras", "in.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", LOAD, *names], check=True, env=dict(os.environ))
    out = np.load(tmp_path / "out.npz")
    for name, value in model(given).items():
        np.testing.assert_allclose(out[name], value, atol=1e-5)
