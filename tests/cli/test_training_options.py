"""The options that are made from the descriptions of the settings."""

import pytest

from keras_frcnn.cli.parser import build_parser
from keras_frcnn.cli.training_options import given
from keras_frcnn.settings import KEYS, Settings, format_value, option


def read(*arguments):
    return given(build_parser().parse_args(["train", "--out", "run", *arguments]))


def test_what_is_left_out_is_not_given():
    assert read() == {}
    assert read("--fc-units", "none") == {"fc_units": None}


def test_every_setting_has_an_option():
    settings = Settings(weights=None, fc_units=(8, 4), proposals="boxes.npz")
    arguments = [a for key in KEYS for a in (option(key), format_value(getattr(settings, key)))]
    assert read(*arguments) == {key: getattr(settings, key) for key in KEYS}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--steps", "many"], "argument --steps: must be a whole number, not 'many'"),
        (["--decay-at", "30k"], "argument --decay-at: must be whole numbers separated by commas"),
        (["--bias-decay", "yes"], "argument --bias-decay: must be true or false, not 'yes'"),
        (["--stepz", "3"], "unrecognized arguments: --stepz 3"),
    ],
)
def test_what_cannot_be_read_is_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        read(*arguments)
    assert message in capsys.readouterr().err
