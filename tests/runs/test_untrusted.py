"""Checkpoints that were prepared to run something when they are loaded."""

import json
import zipfile

import keras
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.runs.checkpoints import read_checkpoint

PYTHON = "open({path!r}, 'w').close()"


def named(module, name):
    """A function in a config, by module and name."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def layer(class_name, module, config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def marshalled(code):
    """A Lambda's function as Keras writes it."""
    return keras.src.utils.python_utils.func_dump(eval(f"lambda x: {code}"))


ATTACKS = {
    "function of os": lambda code: named("os", "system"),
    "function of builtins": lambda code: named("builtins", "exec"),
    "class of subprocess": lambda code: layer("Popen", "subprocess", {"args": ["touch", "x"]}),
    "lambda": lambda code: {
        "class_name": "__lambda__",
        "config": {"value": marshalled(code)[0], "defaults": None, "closure": None},
    },
    "Lambda layer": lambda code: layer(
        "Lambda", "keras.layers", {"function": named("os", "system"), "name": "evil"}
    ),
    "get_file": lambda code: named("keras.utils", "get_file"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_run(tmp_path, attack):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="relu")])
    model.save(tmp_path / "good.keras")
    planted = tmp_path / "planted"
    value = ATTACKS[attack](PYTHON.format(path=str(planted)))
    with (
        zipfile.ZipFile(tmp_path / "good.keras") as good,
        zipfile.ZipFile(tmp_path / "step-00000001.keras", "w") as evil,
    ):
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                config = json.loads(content)
                if attack in ("class of subprocess", "Lambda layer"):
                    config["config"]["layers"][1] = value
                else:
                    config["config"]["layers"][1]["config"]["activation"] = value
                content = json.dumps(config)
            evil.writestr(name, content)
    with pytest.raises(InputError, match=r"step-00000001\.keras: is whole, but cannot be loaded"):
        read_checkpoint(tmp_path / "step-00000001.keras")
    assert not planted.exists()
