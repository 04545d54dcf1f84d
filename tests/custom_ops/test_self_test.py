"""The comparison of the CPU's and the GPU's kernels cannot pass without having been made."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import self_test
from keras_frcnn.custom_ops.library import load_library


def test_fails_where_the_cpu_stands_in_for_the_gpu():
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("there is a GPU")
    library = load_library()
    if library is None:
        pytest.skip("there is no compiled op")
    placement = tf.config.get_soft_device_placement()
    tf.config.set_soft_device_placement(True)
    try:
        with pytest.raises(self_test.SelfTestError, match=r"computed on .*CPU:0, not on GPU:0"):
            self_test.compare_cpu_and_gpu(library)
    finally:
        tf.config.set_soft_device_placement(placement)


@pytest.mark.parametrize("name", ["output", "argmax", "gradient"])
def test_finds_a_wrong_bit(name, monkeypatch):
    def results(library, device, features, rois, dtype):
        found = {key: np.zeros(3, np.float32) for key in ("output", "argmax", "gradient")}
        if device == "GPU:0" and dtype == tf.float32:
            found[name][1] = -0.0
        return found

    monkeypatch.setattr(self_test, "_results", results)
    with pytest.raises(self_test.SelfTestError, match=f"another {name} in float32 with 48"):
        self_test.compare_cpu_and_gpu(None)
