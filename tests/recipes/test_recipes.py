"""The recipes against the numbers of the paper."""

from dataclasses import FrozenInstanceError, replace

import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.recipes import RECIPES, describe_recipe, load_recipe, recipe_of

VOC = [name for name in RECIPES if name.startswith("vgg16-voc") and "faster" not in name]
FASTER = [name for name in RECIPES if name.startswith("vgg16-voc") and "faster" in name]

# Data, steps, steps at which the rate drops, shorter and longer side (sections 2.3, 4.2, 5.2, 5.3).
PAPER = {
    "vgg16-voc07": ("voc/2007", 40_000, (30_000,), (600,), 1000),
    "vgg16-voc07+12": (
        "voc/2007:trainval+voc/2012:trainval",
        60_000,
        (30_000,),
        (600,),
        1000,
    ),
    "vgg16-voc07++12": (
        "voc/2007:trainval+voc/2007:test+voc/2012:trainval",
        100_000,
        (40_000, 80_000),
        (600,),
        1000,
    ),
    "vgg16-voc07-multiscale": (
        "voc/2007",
        40_000,
        (30_000,),
        (480, 576, 688, 864, 1200),
        2000,
    ),
}


def test_all_recipes_of_the_paper_are_checked():
    assert sorted(VOC) == sorted(PAPER)


@pytest.mark.parametrize("name", VOC)
def test_recipes_have_the_papers_numbers(name):
    recipe = load_recipe(name)
    s = recipe.settings
    assert (s.data, s.steps, s.decay_at, s.min_side, s.max_side) == PAPER[name]
    assert (s.trunk, s.weights, s.fc_units) == ("vgg16", "imagenet", None)
    assert (s.rate, s.momentum, s.l2, s.warmup, s.dropout) == (0.001, 0.9, 0.0005, 0, 0.5)
    assert (s.images_per_batch, s.rois_per_image, s.box_loss_weight) == (2, 64, 1.0)
    assert s.bias_decay and s.finetune_from is None
    assert s.search == "fast" and s.proposals is None


# Data, whether in four steps, steps of regions and of proposals, and of their drops, RoIs an image
# (Ren et al. 2015, section 3.3; the authors' solvers).
PAPER_FASTER = {
    "vgg16-voc07-faster": ("voc/2007", True, 40_000, (30_000,), 80_000, (60_000,), 64),
    "vgg16-voc07-faster-joint": ("voc/2007", False, 70_000, (50_000,), None, None, 128),
    "vgg16-voc07+12-faster": (
        *("voc/2007:trainval+voc/2012:trainval", True),
        *(60_000, (30_000,), 80_000, (60_000,), 64),
    ),
}


def test_all_recipes_of_the_second_paper_are_checked():
    assert sorted(FASTER) == sorted(PAPER_FASTER)


@pytest.mark.parametrize("name", FASTER)
def test_recipes_have_the_second_papers_numbers(name):
    s = load_recipe(name).settings
    data, alternating, steps, decay_at, rpn_steps, rpn_decay_at, rois = PAPER_FASTER[name]
    assert (s.data, s.alternating, s.steps, s.decay_at) == (data, alternating, steps, decay_at)
    if alternating:
        assert (s.rpn_steps, s.rpn_decay_at, s.rpn_images_per_batch) == (rpn_steps, rpn_decay_at, 1)
    assert (s.detector, s.trunk, s.weights) == ("faster_rcnn", "vgg16", "imagenet")
    assert (s.images_per_batch, s.rois_per_image, s.anchors_per_image) == (2, rois, 256)
    assert (s.min_side, s.max_side, s.bg_iou_low) == ((600,), 1000, 0)
    assert (s.anchor_scales, s.anchor_ratios) == ((8, 16, 32), (0.5, 1, 2))
    assert (s.pre_nms_train, s.proposals_train, s.proposal_nms_iou) == (12_000, 2000, 0.7)
    assert (s.pre_nms_test, s.proposals_test, s.proposal_min_size) == (6000, 300, 16)
    assert (s.rate, s.momentum, s.l2, s.bias_decay) == (0.001, 0.9, 0.0005, True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name):
    recipe = load_recipe(name)
    assert recipe.settings.recipe == name and recipe.settings.group_by_aspect
    assert recipe_of(recipe.settings) is recipe
    text = describe_recipe(name)
    assert f"keras-frcnn train --recipe {name} --out" in text
    for part in ("keras-frcnn evaluate runs/", "Result:", "Time:"):
        assert part in text


def test_a_recipe_does_not_change():
    recipe = load_recipe("vgg16-bccd")
    with pytest.raises(FrozenInstanceError):
        recipe.settings.steps = 3
    with pytest.raises(FrozenInstanceError):
        recipe.metric = "area"


def test_unknown_name():
    with pytest.raises(InputError, match=r"nearest is 'vgg16-voc07\+12'; the recipes are vgg16"):
        load_recipe("vgg16-voc07-12")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"metric": "coco"}, "coco"),
        ({"settings": replace(load_recipe("vgg16-bccd").settings, recipe=None)}, "recipe"),
        (
            {"settings": replace(load_recipe("vgg16-bccd").settings, class_names=("a",))},
            "class_names",
        ),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(load_recipe("vgg16-bccd"), **change)


def test_recipe_of_a_run_without_one():
    settings = load_recipe("vgg16-bccd").settings
    assert recipe_of(replace(settings, recipe=None)) is None
    assert recipe_of(replace(settings, recipe="of another version")) is None
