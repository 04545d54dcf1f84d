"""A Keras that is set up otherwise for the whole process."""

import json
import os
import subprocess
import sys

import keras
import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.models.fast_rcnn import FastRCNN


def run(code, **environment):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_another_backend_is_said_at_once(tmp_path):
    said = "keras_frcnn needs Keras on TensorFlow, but it is set up for jax"
    assert said in run("import keras_frcnn", KERAS_BACKEND="jax").stderr
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", "import keras_frcnn"],
        env={**environment, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert said in done.stderr and done.returncode == 0
    assert run("import keras_frcnn", KERAS_HOME=str(tmp_path / "none")).stderr == ""


def test_another_backend_in_use_is_refused():
    code = "import sys, types; k = sys.modules['keras'] = types.ModuleType('keras')\n"
    code += "k.config = types.SimpleNamespace(backend=lambda: 'jax')\nimport keras_frcnn"
    done = run(code)
    assert done.returncode == 1
    assert (
        "ImportError: keras_frcnn needs Keras on TensorFlow, but Keras runs on jax" in done.stderr
    )


def test_channels_first_is_refused_in_one_line():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(InputError, match=r"channels last: call keras\.config") as caught:
            FastRCNN(["cat"], "squeezenet", None, fc_units=(4, 4))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("floatx", ["float16", "bfloat16"])
def test_scores_and_offsets_are_float32_whatever_keras_computes_in(floatx):
    keras.config.set_floatx(floatx)
    try:
        model = FastRCNN(["cat"], "squeezenet", None, fc_units=(4, 4))
    finally:
        keras.config.set_floatx("float32")
    assert {name: x.dtype for name, x in model.output.items()} == {
        "cls_score": "float32",
        "bbox_pred": "float32",
    }


def test_commands_work_whatever_keras_is_set_up_for(tmp_path):
    """Their process is their own."""
    (tmp_path / "keras.json").write_text(
        json.dumps({"image_data_format": "channels_first", "floatx": "float16"})
    )
    code = "from keras_frcnn.cli import commands; import keras\n"
    code += "print(keras.config.image_data_format(), keras.config.floatx())"
    done = run(code, KERAS_HOME=str(tmp_path))
    assert done.stdout.split() == ["channels_last", "float32"]
