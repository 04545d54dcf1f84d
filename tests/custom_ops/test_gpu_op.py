"""The ops on a GPU. Skipped where TensorFlow sees none."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import roi_pool, roi_pyramid_pool
from keras_frcnn.custom_ops.cases import random_features, random_rois, same_bits
from keras_frcnn.models.layers import RoIPool
from tests.custom_ops.roi_pool_op_tester import RoIPoolOpTester

if not tf.config.list_physical_devices("GPU"):
    pytest.skip("TensorFlow sees no GPU", allow_module_level=True)


class TestGpuOp(RoIPoolOpTester):
    def roi_pool(self, *arguments):
        with tf.device("/GPU:0"):
            return roi_pool(*arguments)

    def test_is_the_op_on_the_gpu(self):
        output, argmax = self.roi_pool(random_features((1, 4, 4, 2)), np.zeros((1, 5)), 2, 2, 1.0)
        assert output.device.endswith("GPU:0")
        assert argmax.device.endswith("GPU:0")


def test_pyramid_equals_the_cpus():
    features, rois = random_features((2, 9, 11, 16)), random_rois(20, 2, 144, 176)
    results = []
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device):
            on_device = tf.constant(features)
            with tf.GradientTape() as tape:
                tape.watch(on_device)
                output, argmax = roi_pyramid_pool(on_device, rois, (1, 2, 3, 6), 1 / 16)
            # Whole numbers, whose sums are the same in any order.
            grads = tf.round(4 * tf.constant(random_features(output.shape, seed=1)))
            results.append([output, argmax, tape.gradient(output, on_device, grads)])
    for on_cpu, on_gpu in zip(*results, strict=True):
        assert same_bits(on_gpu.numpy(), on_cpu.numpy())


@pytest.mark.parametrize(("channels", "count"), [(0, 3), (2, 0)])
def test_no_channels_or_no_rois(channels, count):
    with tf.device("/GPU:0"):
        output, _ = roi_pool(tf.zeros([1, 4, 4, channels]), tf.zeros([count, 5]), 2, 2, 1.0)
    assert output.shape == (count, 2, 2, channels)


DETERMINISTIC = """
import hashlib, sys
import numpy as np, tensorflow as tf
tf.config.experimental.enable_op_determinism()
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.custom_ops.cases import random_features, random_rois, same_bits
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference
library = load_library()
rois = random_rois(300, 2, 480, 640)
for dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64):
    for channels in (64, 5):
        features = tf.cast(random_features((2, 30, 40, channels)), dtype)
        with tf.device("GPU:0"):
            pooled, argmax = library.keras_frcnn_roi_pool(
                features, rois, pooled_height=7, pooled_width=7, spatial_scale=1 / 16)
            grads = tf.cast(random_features(pooled.shape, seed=1), dtype)
            runs = [library.keras_frcnn_roi_pool_grad(
                grad_output=grads, argmax=argmax, rois=rois, features_shape=features.shape
            ).numpy() for _ in range(3)]
        expected = roi_pool_grad_reference(grads.numpy(), argmax.numpy(), rois, features.shape)
        assert all(same_bits(run, expected) for run in runs), (dtype, channels)
print("the reference's")
"""


def test_deterministic_gradient_is_the_references_bit_for_bit():
    done = subprocess.run([sys.executable, "-c", DETERMINISTIC], capture_output=True, text=True)
    assert done.stdout == "the reference's\n", done.stderr


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_training_step_equals_the_cpus(policy, request):
    had_tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    enable_tf32 = tf.config.experimental.enable_tensor_float_32_execution
    request.addfinalizer(lambda: enable_tf32(had_tf32))
    enable_tf32(False)  # whose products have 10 bits
    images = random_features((2, 64, 96, 3))
    boxes = np.float32([[[0, 0, 40, 30], [20, 10, 95, 60]], [[5, 5, 60, 60], [30, 0, 80, 40]]])
    targets = random_features((2, 2, 4), seed=1)
    weights = []
    for device in ("CPU:0", "GPU:0"):
        keras.utils.set_random_seed(0)
        with tf.device(device):
            image = keras.Input((64, 96, 3))
            rois = keras.Input((2, 4))
            x = keras.layers.Conv2D(8, 3, 8, "same", activation="relu", dtype=policy)(image)
            x = RoIPool(3, 1 / 8, dtype=policy)(x, rois)
            x = keras.layers.Reshape((2, 72))(x)
            model = keras.Model([image, rois], keras.layers.Dense(4, dtype=policy)(x))
            model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
            model.train_on_batch([images, boxes], targets)
        weights.append(model.get_weights())
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for on_cpu, on_gpu in zip(*weights, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=tolerance, atol=tolerance)
