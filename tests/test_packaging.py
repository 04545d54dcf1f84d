"""The built wheel works outside the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

TRY_IT = """
import keras_frcnn.custom_ops, keras_frcnn.export.saved_model, numpy as np, pathlib, sys
here = pathlib.Path(keras_frcnn.custom_ops.__file__)
assert str(here).startswith(sys.argv[1]), here
features = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
pooled, _ = keras_frcnn.custom_ops.roi_pool(features, [[0, 0, 0, 3, 3]], 2, 2, 1.0)
assert pooled.numpy().ravel().tolist() == [5, 7, 13, 15], pooled
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist with space")
    # From a copy, so that the build leaves nothing in the repository.
    source = tmp_path_factory.mktemp("source") / "keras frcnn"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source],
        check=True,
    )
    return next(folder.glob("keras_frcnn-*.whl"))


def test_wheel_holds_all_packages_and_the_sources_of_the_op(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for tracked in ("keras_frcnn", "custom_ops", "export"):
        listed = subprocess.run(
            ["git", "ls-files", tracked], cwd=REPOSITORY, check=True, capture_output=True, text=True
        ).stdout.split()
        for file in listed:
            if file.endswith((".py", ".h", ".cc", ".cu", ".css", ".js")) or "/serving/" in file:
                inside = file if tracked == "keras_frcnn" else f"keras_frcnn/{file}"
                assert inside in names


def test_wheel_works_outside_the_repository(wheel, tmp_path):
    site = tmp_path / "site packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "-t", site, wheel],
        check=True,
    )
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n{TRY_IT}"
    subprocess.run([sys.executable, "-c", code, str(site)], check=True, cwd=tmp_path)
