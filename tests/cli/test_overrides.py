from dataclasses import fields, replace

import pytest

from keras_frcnn.cli.overrides import KEYS, parse_assignments
from keras_frcnn.errors import InputError
from keras_frcnn.settings import Settings, differences, format_value

DEFAULTS = Settings("photos", "train", ("cat",))


@pytest.mark.parametrize(
    "text, value",
    [
        ("steps=4000", 4000),
        ("rate=5e-3", 0.005),
        ("min_side=480,576", (480, 576)),
        ("decay_at=", ()),
        ("fc_units=none", None),
        ("fc_units=16, 8", (16, 8)),
        ("weights=a=b.h5", "a=b.h5"),
        ("weights=none", None),
        ("bias_decay=False", False),
        (" group_by_aspect = true ", True),
    ],
)
def test_values_are_read_by_the_type_of_the_setting(text, value):
    key = text.split("=")[0].strip()
    found = parse_assignments([text])
    assert found == {key: value} and type(found[key]) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("stepz=3", "'stepz' is unknown, the nearest is 'steps'"),
        ("rois=3", "nearest is 'rois_per_image'"),
        ("steps", "key=value"),
        ("steps=many", "steps=many: steps must be a whole number"),
        ("steps=1.5", "whole number"),
        ("steps=none", "whole number"),
        ("rate=fast", "rate must be a number"),
        ("bias_decay=yes", "true or false"),
        ("min_side=480;576", "whole numbers separated by commas"),
        ("fc_units=big", "separated by commas or none"),
        ("data=photos", "--data"),
        ("class_names=cat", "--classes"),
        ("recipe=vgg16-bccd", "--recipe"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_assignments([text])


def test_a_key_given_twice():
    assert parse_assignments(["steps=3", "steps=3"]) == {"steps": 3}
    with pytest.raises(InputError, match="steps is given twice: 3 and 4"):
        parse_assignments(["steps=3", "rate=1", "steps=4"])


def test_every_setting_is_written_as_it_is_read():
    """What the differences print can be given to --set again."""
    odd = replace(
        DEFAULTS,
        weights="w.h5",
        fc_units=(8, 4),
        min_side=(1, 2),
        decay_at=(),
        l2=0.1,
        bias_decay=False,
        finetune_from="conv1_2",
    )
    for settings in (DEFAULTS, odd):
        texts = [f"{key}={format_value(getattr(settings, key))}" for key in KEYS]
        assert replace(DEFAULTS, **parse_assignments(texts)) == settings
    assert set(KEYS) | {"data", "split", "class_names", "recipe"} == {
        f.name for f in fields(Settings)
    }


def test_differences_name_both_values():
    changed = replace(DEFAULTS, steps=100, fc_units=(8, 4), class_names=("dog",), recipe="r")
    assert differences(changed, DEFAULTS) == [
        "fc_units=8,4 (not none)",
        "steps=100 (not 40000)",
    ]
    assert differences(DEFAULTS, DEFAULTS) == []
