"""Keras knows the classes of a `.keras` file that are not its own when their modules are imported.

A process that loads a model need not have imported ours: it says `import keras_frcnn`, which
imports no Keras, and `keras.models.load_model`. So our modules are imported along with Keras,
whichever of the two comes first.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path

# All that `keras.saving.register_keras_serializable` decorates.
_MODULES = (
    "keras_frcnn.models.convolution",
    "keras_frcnn.models.depthwise",
    "keras_frcnn.models.detection_model",
    "keras_frcnn.models.fpn",
    "keras_frcnn.models.joint_sampling",
    "keras_frcnn.models.layers",
    "keras_frcnn.models.losses",
    "keras_frcnn.models.mask_head",
    "keras_frcnn.models.mask_losses",
    "keras_frcnn.models.mask_targets",
    "keras_frcnn.models.propose",
    "keras_frcnn.models.roi_align",
    "keras_frcnn.models.rpn",
    "keras_frcnn.models.rpn_levels",
    "keras_frcnn.training.optimizer",
)


def register_with_keras() -> None:
    """Import what Keras shall know: now, if it is imported already, else when it is."""
    if "keras" in sys.modules:
        _register()
        return
    if (backend := _configured_backend()) != "tensorflow":
        warnings.warn(
            f"keras_frcnn needs Keras on TensorFlow, but it is set up for {backend}: set "
            "KERAS_BACKEND=tensorflow before Keras is imported",
            stacklevel=4,
        )
    sys.meta_path.insert(0, _AfterKeras())


def _configured_backend() -> str:
    """What Keras will run on, by the variable or the file that it reads when it is imported."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        content = json.loads(Path(home, "keras.json").read_text("utf-8"))
        return str(content.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError, RecursionError):  # Keras then takes its default
        return "tensorflow"


def _register() -> None:
    import keras

    if keras.config.backend() != "tensorflow":
        raise ImportError(
            f"keras_frcnn needs Keras on TensorFlow, but Keras runs on {keras.config.backend()}: "
            "set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    for module in _MODULES:
        importlib.import_module(module)


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds Keras as the others do, and has it followed by `_register`.

    Or TensorFlow, if that comes first: it imports Keras half-way, when our modules cannot be
    imported yet, and would pass over their errors.
    """

    def find_spec(self, name, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if name not in ("keras", "tensorflow"):
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                # TensorFlow serves without Keras too, and a module of ours that imports it is
                # half imported here itself: then what can be is registered.
                allowed = ImportError if name == "tensorflow" else ()
                with contextlib.suppress(allowed):
                    _register()

            spec.loader.exec_module = exec_module
        return spec
