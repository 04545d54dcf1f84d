"""Keras knows the classes of a `.keras` file that are not its own when their modules are imported.

A process that loads a model need not have imported ours: it says `import keras_frcnn`, which
imports no Keras, and `keras.models.load_model`. So our modules are imported along with Keras,
whichever of the two comes first.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys

# All that `keras.saving.register_keras_serializable` decorates.
_MODULES = (
    "keras_frcnn.models.convolution",
    "keras_frcnn.models.detection_model",
    "keras_frcnn.models.layers",
    "keras_frcnn.models.losses",
    "keras_frcnn.training.optimizer",
)


def register_with_keras() -> None:
    """Import what Keras shall know: now, if it is imported already, else when it is."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    for module in _MODULES:
        importlib.import_module(module)


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds Keras as the others do, and has it followed by `_register`."""

    def find_spec(self, name, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _register()

            spec.loader.exec_module = exec_module
        return spec
