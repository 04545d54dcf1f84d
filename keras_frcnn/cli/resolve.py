"""The settings of a training from what was asked for: recipe and options.

A recipe, or the paper's defaults where none is named, gives every setting; what the user spells
out takes its place. A resumed run has its own settings instead.
"""

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path

from keras_frcnn.cli.training_options import given
from keras_frcnn.errors import InputError
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.proposal_defaults import OF_ANCHORS
from keras_frcnn.recipes import Recipe, load_recipe, recipe_of
from keras_frcnn.runs.directory import load_settings
from keras_frcnn.settings import Settings, differences, option

_KINDS = ("detector", "alternating")  # settings on which the defaults of others depend
# Settings that only some trainings read.
_OF_PROPOSALS = (
    *("anchor_scales", "anchor_ratios", "anchors_per_image", "rpn_box_loss_weight"),
    *("proposals_train", "proposals_test", "pre_nms_train", "pre_nms_test"),
    *("proposal_nms_iou", "proposal_min_size"),
)
_OF_FOUR_STEPS = ("rpn_steps", "rpn_decay_at", "rpn_images_per_batch")


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
        InputError: a recipe or value does not exist, no data set is given, the run to resume or
            to start from is none, or an option has no meaning for the detector.
    """
    asked = given(args)
    saved = load_settings(Path(args.out)) if args.resume else None
    if args.recipe:
        recipe = load_recipe(args.recipe)
    else:
        recipe = recipe_of(saved) if saved else None
    if asked.get("initial") is not None:
        asked.setdefault("weights", None)  # its weights take the place of those of a recipe
    if recipe:
        base = recipe.settings
    elif saved:
        base = dataclasses.replace(_defaults({"trunk": saved.trunk}), precision=saved.precision)
    else:
        base = _defaults(asked)
    start = dataclasses.replace(saved, recipe=args.recipe or saved.recipe) if saved else base
    data = args.data or start.data
    if not data:
        raise InputError("--data: name the data set to train on, or a --recipe that has one")
    # Another data set does not have the recipe's splits; a resumed run's is the same elsewhere.
    split = args.split or (start.split if saved or not args.data else "")
    # What is the recipe's for one detector is not for another.
    if any(asked.get(k, getattr(start, k)) != getattr(start, k) for k in _KINDS):
        asked = {"rois_per_image": None, "bg_iou_low": None, "region_op": None, **asked}
    trunk = asked.get("trunk", start.trunk)
    if trunk in TRUNKS and bool(TRUNKS[trunk].levels) != bool(TRUNKS[start.trunk].levels):
        asked = {**dict.fromkeys(OF_ANCHORS), "region_op": None, **asked}
    settings = dataclasses.replace(start, **asked, data=data, split=split)
    _refuse_ignored(settings, given(args))
    if recipe is None:  # there is no default data set to differ from
        base = dataclasses.replace(base, data=data, split=split)
    if settings.initial and not args.resume:
        load_settings(Path(settings.initial))  # before anything that takes long
    return Resolved(settings, base, recipe)


def _refuse_ignored(settings: Settings, asked: dict) -> None:
    """Say that an option would change nothing, rather than to pass over it."""
    for key in asked:
        if key in _OF_PROPOSALS and not settings.makes_proposals:
            reason = (
                f"{settings.detector} makes no proposals; leave it out, or give a detector that "
                "does, such as --detector faster_rcnn"
            )
        elif key in _OF_FOUR_STEPS and not settings.alternating:
            reason = "is of the training in four steps; leave it out, or give --alternating true"
        elif key == "pre_nms_train" and settings.alternating:
            reason = "is of joint training, in four steps all boxes are taken; leave it out"
        else:
            continue
        raise InputError(f"{option(key)}: {reason}")


def _defaults(asked: dict) -> Settings:
    """The paper's settings; those of the network are the run's that the training starts from."""
    if asked.get("initial") is not None:
        run = load_settings(Path(asked["initial"]))
        network = (
            *("trunk", "fc_units", "min_side", "max_side"),
            *("anchor_scales", "anchor_ratios", "proposal_min_size"),
        )
        kind = {"detector": run.detector} | {k: asked[k] for k in _KINDS if k in asked}
        return Settings(weights=None, **kind, **{name: getattr(run, name) for name in network})
    trunk = asked.get("trunk", Settings.trunk)
    kind = {k: asked[k] for k in _KINDS if k in asked}
    return Settings(weights=Settings(trunk=trunk).weights, **kind)
