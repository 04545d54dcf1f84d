"""That `adapt` fits the Keras versions that the package allows: two workers, ten steps."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import runner

# The lowest that setup.cfg allows, and those between it and the one that is installed.
VERSIONS = ["3.12.4", "3.13.2"]

WORKER = """
import numpy as np, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras, sys, json
from keras_frcnn.training.keras_workers import adapt
with strategy.scope():
    image = keras.Input([4], name="a")
    model = keras.Model({"a": image}, {"x": keras.layers.Dense(1, name="x")(image)})
    model.set_weights([np.ones([4, 1]), np.zeros(1)])
    model.compile("sgd", loss={"x": "mse"}, metrics={"x": ["mae"]})
index = json.loads(__import__("os").environ["TF_CONFIG"])["task"]["index"]
stopped = adapt(model, lambda: index == 1 and int(model.optimizer.iterations.numpy()) == 9)
def data(context):
    rows = np.arange(160, dtype="float32").reshape(10, 4, 4) / 160
    rows = rows[:, 2 * context.input_pipeline_id :][:, :2]
    return tf.data.Dataset.from_tensor_slices(({"a": rows}, {"x": rows[..., :1]}))
log = []
class Log(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        log.append((logs["loss"], stopped()))
model.fit(strategy.distribute_datasets_from_function(data), steps_per_epoch=10, verbose=0,
          callbacks=[Log()])
weights = np.concatenate([w.ravel() for w in model.get_weights()])
print(json.dumps([keras.__version__, weights.tolist(), log]))
"""


def expected():
    """The same ten steps in NumPy: batches of four rows, mean squared error, rate 0.01."""
    import numpy as np

    rows = np.arange(160, dtype="float32").reshape(10, 4, 4) / 160
    w, b = np.ones([4, 1]), np.zeros(1)
    for batch in rows:
        error = batch @ w + b - batch[:, :1]
        w, b = w - 0.01 * 2 * batch.T @ error / 4, b - 0.01 * 2 * error.mean(0)
    return [*w.ravel(), *b]


def ten_steps(folder=None):
    """What two workers print that find Keras in `folder` first."""
    paths = [*([str(folder)] if folder else []), str(Path(__file__).parents[2])]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=os.environ | {"TF_CONFIG": config, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for config in runner.tf_configs()
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [p.returncode for p in processes] == [0, 0], (
        outputs[0][1][-3000:] + outputs[1][1][-3000:]
    )
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def check(results, version):
    for found, weights, log in results:
        assert found == version
        assert weights == pytest.approx(expected(), rel=1e-5)
        assert [stopped for _, stopped in log] == [False] * 9 + [True]
    assert results[0] == results[1]


def test_the_installed_keras():
    check(ten_steps(), importlib.metadata.version("keras"))


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions(tmp_path, version):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    installed = subprocess.run([*pip, tmp_path, f"keras=={version}"], capture_output=True)
    if installed.returncode:
        pytest.skip(f"keras {version} cannot be had here: {installed.stderr.decode()[-300:]}")
    check(ten_steps(tmp_path), version)
