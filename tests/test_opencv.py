"""Other packages' OpenCV in the place of ours is named, with the remedy, before a search."""

import importlib.util
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
from PIL import Image

from keras_frcnn.errors import InputError
from keras_frcnn.opencv import opencv
from tests.test_house import MODULES


@pytest.fixture
def installed(monkeypatch):
    """Plays that these packages are installed, and that `cv2` is that of the second."""
    opencv.cache_clear()

    def install(**packages):
        found = [
            SimpleNamespace(metadata={"Name": name.replace("_", "-")}, version=version)
            for name, version in packages.items()
        ]
        monkeypatch.setattr(metadata, "distributions", lambda: found)

    yield install
    opencv.cache_clear()


def test_ours_is_imported():
    assert opencv().ximgproc.segmentation


def test_another_opencv_over_ours(installed, monkeypatch):
    installed(
        opencv_contrib_python_headless="5.0.0", numpy="2.0", opencv_python_headless="4.12.0.88"
    )
    without = SimpleNamespace(resize=None, __file__="/site-packages/cv2/__init__.py")
    monkeypatch.setitem(sys.modules, "cv2", without)
    with pytest.raises(InputError) as error:
        opencv()
    message = str(error.value)
    assert "ximgproc" in message and "/site-packages/cv2/__init__.py" in message
    assert "opencv-contrib-python-headless 5.0.0, opencv-python-headless 4.12.0.88" in message
    assert (
        "`pip uninstall -y opencv-contrib-python-headless opencv-python-headless`, then "
        "`pip install opencv-contrib-python-headless`" in message
    )


def test_half_a_folder_and_none_at_all(installed, monkeypatch):
    installed(opencv_contrib_python_headless="5.0.0")
    spec = importlib.util.spec_from_loader("cv2", None, is_package=True)
    monkeypatch.setitem(sys.modules, "cv2", importlib.util.module_from_spec(spec))
    with pytest.raises(InputError, match=r"from nowhere.*`pip uninstall -y opencv-contrib"):
        opencv()
    installed()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"no package of OpenCV.*: `pip install opencv-contrib"):
        opencv()


SEARCH = """
import sys
sys.path.insert(0, sys.argv[1])
from keras_frcnn.data.dataset import Dataset, ImageRecord
from keras_frcnn.errors import InputError
from keras_frcnn.proposals.find import find_proposals
images = tuple(ImageRecord(f"{i}.png", sys.argv[2], 16, 16) for i in range(3))
try:
    find_proposals(Dataset("d", ("a",), images), cache_path=sys.argv[3])
except InputError as error:
    print(error)
"""


def test_it_is_said_once_and_before_the_search(tmp_path):
    """As where `opencv-python` was installed afterwards, for parent and children alike."""
    (tmp_path / "cv2.py").write_text("def resize(): ...\ndef setNumThreads(n): ...\n")
    image = tmp_path / "0.png"
    Image.new("RGB", (16, 16)).save(image)
    command = [sys.executable, "-c", SEARCH, tmp_path, image, tmp_path / "c.sqlite"]
    done = subprocess.run(command, capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("OpenCV has no selective search here (module 'cv2' has no attribute")
    assert str(tmp_path / "cv2.py") in line and "pip install" in line
    assert not done.stderr


def test_nothing_else_imports_it():
    """So that every command can say it in one line, and those that do not search still run."""
    importing = [name for name, path in MODULES.items() if "import cv2" in path.read_text("utf-8")]
    assert importing == ["keras_frcnn.opencv"]
