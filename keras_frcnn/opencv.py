"""OpenCV with `ximgproc`, which has selective search, or a message that says what is in its place.

Several packages install the same folder `cv2`, and it is that of the last one installed: another
project that wants `opencv-python` takes `ximgproc` away, and its removal leaves half a folder.
"""

import functools
import sys
from importlib import metadata

from keras_frcnn.errors import InputError

PACKAGE = "opencv-contrib-python-headless"


@functools.cache
def opencv():
    """The module `cv2`.

    Raises:
        InputError: it cannot be imported, or has no `ximgproc`; the message names the packages that
            are installed and says what to do.
    """
    try:
        import cv2

        _ = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation, cv2.resize
    except (ImportError, AttributeError) as error:
        installed = _installed()
        remove = f"`pip uninstall -y {' '.join(installed)}`, then " if installed else ""
        both = ", which share the folder cv2" if len(installed) > 1 else ""
        packages = ", ".join(f"{name} {version}" for name, version in installed.items())
        raise InputError(
            f"OpenCV has no selective search here ({error}; from {_place()}); installed is "
            f"{packages or 'no package of OpenCV'}{both}. {PACKAGE} is needed, alone: "
            f"{remove}`pip install {PACKAGE}`"
        ) from error
    return cv2


def _installed() -> dict[str, str]:
    """The packages of OpenCV: version by name."""
    found = {(d.metadata["Name"] or "").lower(): d.version for d in metadata.distributions()}
    return {name: found[name] for name in sorted(found) if name.startswith("opencv-")}


def _place() -> str:
    """What `import cv2` finds."""
    module = sys.modules.get("cv2")
    folders = list(getattr(module, "__path__", [])) or ["nowhere"]
    return getattr(module, "__file__", None) or folders[0]
