"""The experiments of the paper: the trainings each compares and what it measures, a file each.

`keras-frcnn ablate NAME --recipe RECIPE` runs one; docs/experiments.md has results.
"""

import importlib

from keras_frcnn.ablations.ablation import Ablation
from keras_frcnn.errors import InputError, did_you_mean

__all__ = ["ABLATIONS", "load_ablation"]

_MODULES = {
    "multi-task": "multi_task",
    "scales": "scales",
    "proposals": "number_of_proposals",
    "finetune-depth": "finetune_depth",
}
ABLATIONS = tuple(_MODULES)


def load_ablation(name: str) -> Ablation:
    """The experiment of a name.

    Raises:
        InputError: there is none; the nearest name is given.
    """
    if name not in _MODULES:
        raise InputError(
            f"experiment {did_you_mean(name, ABLATIONS)}; the experiments are "
            + ", ".join(ABLATIONS)
        )
    return importlib.import_module(f"{__name__}.{_MODULES[name]}").ABLATION
