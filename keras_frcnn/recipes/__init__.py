"""Recipes: complete settings of a training, a Python file each, by name.

The docstring of a recipe's module has the exact command, the result to expect and the time.
"""

import importlib
import inspect

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

__all__ = ["RECIPES", "Recipe", "describe_recipe", "load_recipe", "recipe_of"]

# Not every name can be that of a Python module.
_MODULES = {
    "vgg16-voc07": "vgg16_voc07",
    "vgg16-voc07+12": "vgg16_voc07_12",
    "vgg16-voc07++12": "vgg16_voc07_test_12",
    "vgg16-voc07-multiscale": "vgg16_voc07_multiscale",
    "vgg16-voc07-faster": "vgg16_voc07_faster",
    "vgg16-voc07-faster-joint": "vgg16_voc07_faster_joint",
    "vgg16-voc07+12-faster": "vgg16_voc07_12_faster",
    "vgg16-bccd": "vgg16_bccd",
    "vgg16-bccd-480": "vgg16_bccd_480",
    "vgg16-bccd-faster": "vgg16_bccd_faster",
    "squeezenet-voc07-subset": "squeezenet_voc07_subset",
    "squeezenet-voc07-subset-faster": "squeezenet_voc07_subset_faster",
    "squeezenet-voc07-subset-faster-alternating": "squeezenet_voc07_subset_faster_alternating",
    "squeezenet-boards-mask": "squeezenet_boards_mask",
    "squeezenet-dsb2018-mask": "squeezenet_dsb2018_mask",
    "resnet50-fpn-coco-mask": "resnet50_fpn_coco_mask",
    "resnet101-fpn-coco-mask": "resnet101_fpn_coco_mask",
    "resnet50-fpn-coco-faster": "resnet50_fpn_coco_faster",
    "efficientnet-lite1-voc07-subset": "efficientnet_lite1_voc07_subset",
    "efficientnet-lite1-voc07-subset-2": "efficientnet_lite1_voc07_subset_2",
}
RECIPES = tuple(_MODULES)


def load_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        InputError: there is none; the nearest name is given.
    """
    return _module(name).RECIPE


def describe_recipe(name: str) -> str:
    """What a recipe says of itself: a line, then command, result and time; errors as there."""
    return inspect.getdoc(_module(name))


def recipe_of(settings: Settings) -> Recipe | None:
    """The recipe a run began with; None for none, or one that this version does not have."""
    return load_recipe(settings.recipe) if settings.recipe in RECIPES else None


def _module(name: str):
    if name not in _MODULES:
        names = ", ".join(RECIPES)
        raise InputError(f"recipe {did_you_mean(name, RECIPES)}; the recipes are {names}")
    return importlib.import_module(f"{__name__}.{_MODULES[name]}")
