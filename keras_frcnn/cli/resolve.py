"""The settings of a training from what was asked for: recipe, options and `--set`.

A recipe, or the paper's defaults where none is named, gives every setting; what the user spells
out, as an option or by `--set`, takes its place. A resumed run has its own settings instead.
"""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path

from keras_frcnn.cli.overrides import KEYS, merge, parse_assignments
from keras_frcnn.errors import InputError
from keras_frcnn.recipes import Recipe, load_recipe, recipe_of
from keras_frcnn.runs import directory as runs
from keras_frcnn.settings import Settings, differences


@dataclass(frozen=True)
class Resolved:
    """The settings of a training and what they began with."""

    settings: Settings  # `class_names` are empty for a new run: the data set has them
    base: Settings  # the recipe's, or the defaults
    recipe: Recipe | None

    def report(self) -> str:
        """What the user should see at the start: the settings that are not those of `base`."""
        source = f"recipe {self.base.recipe}" if self.recipe else "the defaults"
        changed = differences(self.settings, self.base)
        return "\n  ".join([f"settings: {source}{', with' if changed else ''}", *changed])


def resolve(args: argparse.Namespace) -> Resolved:
    """The settings that the arguments of `keras-frcnn train` ask for.

    Raises:
        InputError: a recipe, key or value does not exist, the same setting is given twice, no
            data set is given, or the run to resume or to start from is none.
    """
    given = _given(args)
    saved = runs.load_settings(Path(args.out)) if args.resume else None
    if args.recipe:
        recipe = load_recipe(args.recipe)
    else:
        recipe = recipe_of(saved) if saved else None
    base = recipe.settings if recipe else _defaults({"trunk": saved.trunk} if saved else given)
    start = dataclasses.replace(saved, recipe=args.recipe or saved.recipe) if saved else base
    data, split = args.data or start.data, args.split
    if not data:
        raise InputError("--data: name the data set to train on, or a --recipe that has one")
    if split is None and not args.data:
        split = start.split
    asked = {"data": data, "split": split or ""}
    settings = dataclasses.replace(start, **given, **asked)
    if recipe is None:
        base = dataclasses.replace(base, **asked)  # there is no default data set to differ from
    if settings.initial and not args.resume:
        runs.load_settings(Path(settings.initial))  # before anything that takes long
    return Resolved(settings, base, recipe)


def _given(args: argparse.Namespace) -> dict:
    """The settings that the user spelled out."""
    given = {k: v for k, v in vars(args).items() if k in KEYS and v is not None}
    if given.get("weights") == "none":
        given["weights"] = None
    merge(given, parse_assignments(args.set))
    if given.get("initial") is not None:
        given.setdefault("weights", None)  # its weights take the place of those of a recipe
    return given


def _defaults(given: dict) -> Settings:
    """The paper's settings; those of the network are the run's that the training starts from."""
    defaults = Settings(data="", split="", class_names=())
    if given.get("initial") is not None:
        run = runs.load_settings(Path(given["initial"]))
        network = ("trunk", "fc_units", "min_side", "max_side")
        return dataclasses.replace(defaults, **{name: getattr(run, name) for name in network})
    is_vgg16 = given.get("trunk", defaults.trunk) == "vgg16"
    return dataclasses.replace(defaults, weights="imagenet" if is_vgg16 else None)
