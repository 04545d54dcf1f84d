import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.settings import (
    AUTO,
    KEYS,
    Range,
    Settings,
    as_table,
    differences,
    format_value,
    option,
    parse_value,
)

SETTINGS = Settings("photos", "train", ("cat", "dog"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trunk": "vgg16b"}, "'vgg16b' is unknown, the nearest is 'vgg16'"),
        ({"precision": "bfloat16"}, "precision: .*nearest is 'mixed_bfloat16'"),
        ({"rate": math.inf}, "rate: must be positive and finite, not inf"),
        ({"rate": 10**400}, "rate: must be a number, not 1000"),
        ({"rate": math.nan}, "rate: must be positive and finite, not nan"),
        ({"l2": math.nan}, "l2: must be at least 0 and finite, not nan"),
        ({"l2": math.inf}, "l2: must be at least 0 and finite, not inf"),
        ({"momentum": -0.1}, "momentum: must be from 0 to below 1, not -0.1"),
        ({"momentum": 1.0}, "momentum: must be from 0 to below 1, not 1.0"),
        ({"momentum": math.nan}, "momentum: must be from 0 to below 1, not nan"),
        ({"dropout": 1.0}, "dropout: must be from 0 to below 1, not 1.0"),
        ({"box_loss_weight": -1.0}, "box_loss_weight: must be at least 0 and finite"),
        ({"keep_checkpoints": 0}, "keep_checkpoints"),
        ({"images_per_batch": 0}, "images_per_batch"),
        ({"decay_at": (0, 10)}, "decay_at"),
        ({"decay_at": (3, 3)}, "decay_at: a step is given twice"),
        ({"min_side": ()}, "min_side"),
        ({"min_side": (480, 1200)}, r"max_side \(1000\)"),
        ({"fc_units": (0, 8)}, "fc_units"),
        ({"weights": "w.h5", "initial": "runs/a"}, "weights and initial"),
        ({"weights": "w.h5", "finetune_from": "conv6_1"}, "conv6_1.*layers are conv1_1"),
        ({"weights": None, "finetune_from": "conv2_1"}, "random weights"),
        ({"trunk": "squeezenet", "weights": "imagenet"}, "no ImageNet weights of squeezenet"),
        ({"search": "quick"}, "search: 'quick' is unknown"),
        ({"seed": 2**32}, "seed: must be from 0 to below 4.29497e"),
        ({"class_names": ("cat", "cat")}, "class_names: a name is given twice"),
        ({"class_names": "ab"}, "class_names: must be texts, not 'ab'"),
        ({"class_names": None}, "class_names: must be texts, not None"),
        ({"steps": "many"}, "steps: must be a whole number, not 'many'"),
        ({"steps": 1.5}, "steps: must be a whole number, not 1.5"),
        ({"steps": True}, "steps: must be a whole number, not True"),
        ({"bias_decay": 1}, "bias_decay: must be true or false, not 1"),
        ({"min_side": 600}, "min_side: must be whole numbers, not 600"),
        ({"fc_units": (8, 8, 8)}, "fc_units: needs two numbers"),
    ],
)
def test_impossible_values_are_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(SETTINGS, **change)


def test_numbers_and_paths_of_other_types_are_taken():
    s = replace(SETTINGS, steps=np.int64(5), rate=1, weights=Path("a") / "w.h5", min_side=[480])
    assert s.to_dict() == {
        **SETTINGS.to_dict(),
        **{"steps": 5, "rate": 1.0, "weights": "a/w.h5", "min_side": (480,)},
    }
    assert type(s.steps) is int and type(s.rate) is float


def test_weights_by_default():
    """Those of ImageNet where Keras has them and nothing else is to start from."""
    assert Settings().weights == "imagenet"
    assert Settings(trunk="squeezenet").weights is None
    assert Settings(initial="runs/a").weights is None
    assert Settings(weights=None).weights is None


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("steps", "4000", 4000),
        ("rate", "5e-3", 0.005),
        ("min_side", "480,576", (480, 576)),
        ("decay_at", "", ()),
        ("fc_units", "none", None),
        ("fc_units", "16, 8", (16, 8)),
        ("weights", "a=b.h5", "a=b.h5"),
        ("weights", "None", None),
        ("bias_decay", "False", False),
        ("group_by_aspect", " true ", True),
    ],
)
def test_values_are_read_by_the_type_of_the_setting(key, text, value):
    found = parse_value(key, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "key, text, message",
    [
        ("steps", "many", "must be a whole number, not 'many'"),
        ("steps", "1.5", "whole number"),
        ("steps", "none", "whole number"),
        ("rate", "fast", "must be a number"),
        ("bias_decay", "yes", "true or false"),
        ("min_side", "480;576", "whole numbers separated by commas"),
        ("fc_units", "big", "whole numbers or none separated by commas"),
    ],
)
def test_what_cannot_be_read_is_named(key, text, message):
    with pytest.raises(ValueError, match=message):
        parse_value(key, text)


ODD = replace(
    SETTINGS,
    weights="w.h5",
    fc_units=(8, 4),
    min_side=(1, 2),
    decay_at=(),
    l2=0.1,
    bias_decay=False,
    finetune_from="conv1_2",
    proposals="boxes.npz",
)


def test_every_setting_is_written_as_it_is_read():
    for settings in (SETTINGS, ODD):
        read = {k: parse_value(k, format_value(getattr(settings, k))) for k in KEYS}
        assert replace(SETTINGS, **read) == settings
    others = {"data", "split", "class_names", "recipe"}
    assert set(KEYS) | others == {f.name for f in fields(Settings)}


def test_differences_name_both_values():
    changed = replace(SETTINGS, steps=100, fc_units=(8, 4), class_names=("dog",), recipe="r")
    assert differences(changed, SETTINGS) == [
        "--fc-units 8,4 (not none)",
        "--steps 100 (not 40000)",
    ]
    assert differences(SETTINGS, SETTINGS) == []


def test_ranges_at_their_ends():
    for value, numbers in ((Range(0), (0, 1e9)), (Range(0, high=1), (0, 0.999))):
        assert all(number in value for number in numbers)
    for value, numbers in (
        (Range(0), (-1e-9, math.inf, math.nan)),
        (Range(0, high=1), (1, math.nan)),
        (Range(0, is_open=True), (0, math.inf)),
    ):
        assert not any(number in value for number in numbers)


def test_the_table_in_the_docs_is_that_of_the_code():
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text("utf-8")
    assert as_table() in text
    assert all(f"`{option(key)}`" in text for key in KEYS)


def test_saved_settings_come_back_equal():
    for settings in (SETTINGS, replace(ODD, recipe="r")):
        assert Settings(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_defaults_are_the_papers():
    """Section 2.3: two images, 64 RoIs of each, 40k steps, the rate's drop after 30k of them."""
    s = SETTINGS
    assert (s.images_per_batch, s.rois_per_image, s.steps, s.decay_at) == (2, 64, 40_000, (30_000,))
    assert (s.rate, s.momentum, s.l2, s.bias_decay) == (0.001, 0.9, 0.0005, True)
    assert (s.min_side, s.max_side, s.box_loss_weight) == ((600,), 1000, 1.0)
    assert (s.trunk, s.weights, s.precision) == ("vgg16", "imagenet", AUTO)
