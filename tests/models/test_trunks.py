"""The table of trunks."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_frcnn.models.trunks import TRUNKS, is_one_of

APPLICATIONS = {name: trunk for name, trunk in TRUNKS.items() if trunk.application}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_table_names_applications_and_its_own_parts(name):
    trunk = APPLICATIONS[name]
    assert hasattr(keras.applications, trunk.application)
    assert trunk.application.lower() == name.removesuffix("_fpn").replace("_", "")
    assert trunk.stride == 16 and trunk.finetune_from in trunk.parts


def test_the_docs_name_every_trunk():
    text = (Path(__file__).parents[2] / "docs" / "trunks.md").read_text("utf-8")
    assert all(f"`{name}`" in text for name in TRUNKS)


def test_a_layer_is_of_the_part_of_its_own_number():
    parts = TRUNKS["mobilenet_v3_small"].parts
    assert is_one_of("expanded_conv_1_expand", parts["stage3"])
    assert is_one_of("expanded_conv_10_expand", parts["stage5"])
    assert is_one_of("expanded_conv_squeeze_excite_conv", parts["stage2"])
    assert not any(is_one_of("fc6", patterns) for patterns in parts.values())


def test_is_read_without_tensorflow():
    code = (
        "import sys, keras_frcnn.models.trunks; "
        "sys.exit(bool({'tensorflow', 'keras'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
