"""Starting from the detector of another run (`keras-frcnn train --from RUN`).

K is the number of object classes.
"""

from pathlib import Path

import keras
import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import PREDICTORS
from keras_frcnn.runs.directory import load_checkpoint, load_settings
from keras_frcnn.settings import Settings


class TrainedDetector:
    """The detector a run has trained so far, to start another one from.

    Args:
        run: the run directory.
        settings: of the new run.

    Raises:
        InputError: `run` is none or has no checkpoint, or has another trunk than `settings`.
    """

    def __init__(self, run: str, settings: Settings):
        self.run = run
        trained = load_settings(Path(run))
        if trained.trunk != settings.trunk:
            raise InputError(
                f"{run}: its trunk is {trained.trunk}, not {settings.trunk}; start from a run of "
                "the same trunk, or give --trunk"
            )
        self.same_classes = trained.class_names == settings.class_names
        self.model = load_checkpoint(Path(run), trained)

    @property
    def rescale(self) -> bool:
        """Whether it was built for scaled pixels, which the new model must be as well."""
        return any(layer.name == "rescale" for layer in self.model.layers)

    def copy_to(self, model: keras.Model) -> list[str]:
        """Copy the weights into a model that `FastRCNN` built; returns the layers' names.

        `cls_score` and `bbox_deltas` are copied if the classes are the same in the same order,
        else they keep their random weights. The offsets stay what they were in pixels though the
        new data set normalises them by other statistics. What only one of the two detectors has,
        region proposals or the layers that read RoIs, stays as it is.

        Raises:
            InputError: a layer has another shape, such as fc6 of other `fc_units`.
        """
        copied = []
        trained = {layer.name: layer for layer in self.model.layers}
        for layer in model.layers:
            if not layer.weights or (layer.name in PREDICTORS and not self.same_classes):
                continue
            if layer.name not in trained:
                continue
            weights = trained[layer.name].get_weights()
            shapes = [w.shape for w in weights]
            if shapes != [w.shape for w in layer.weights]:
                raise InputError(
                    f"{self.run}: its layer {layer.name} has weights of shapes {shapes}, the new "
                    f"one {[tuple(w.shape) for w in layer.weights]}; give the fc_units, or the "
                    "anchors, of that run"
                )
            if layer.name == "bbox_deltas":
                weights = _renormalised(*weights, _statistics(self.model), _statistics(model))
            layer.set_weights(weights)
            copied.append(layer.name)
        return copied


def _statistics(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, [K * 4], by which the last layer inverts the normalisation."""
    layer = model.get_layer("bbox_pred")
    mean, variance = (np.asarray(v, np.float64).ravel() for v in (layer.mean, layer.variance))
    return mean, np.sqrt(variance)


def _renormalised(kernel, bias, old, new) -> list[np.ndarray]:
    """Weights whose outputs, normalised by `new`, are those of kernel and bias by `old`."""
    (old_mean, old_std), (new_mean, new_std) = old, new
    ratio = old_std / new_std
    return [kernel * ratio, bias * ratio + (old_mean - new_mean) / new_std]
