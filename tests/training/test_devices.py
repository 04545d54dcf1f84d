from types import SimpleNamespace

import pytest
import tensorflow as tf

from keras_frcnn.errors import InputError
from keras_frcnn.training.devices import distribution


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Three GPUs and a CPU; strategies are the names of their devices."""
    present = [
        SimpleNamespace(device_type=kind, name=f"/device:{kind}:{i}")
        for kind, count in (("CPU", 1), ("GPU", 3))
        for i in range(count)
    ]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: present)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: names)


@pytest.mark.parametrize(
    "devices, names",
    [
        ("all", ["gpu:0", "gpu:1", "gpu:2"]),
        ("2", ["gpu:0", "gpu:1"]),
        ("gpu:2, GPU:0", ["gpu:2", "gpu:0"]),
        ("cpu:0", ["cpu:0"]),
    ],
)
def test_devices_by_name_and_number(devices, names):
    assert distribution(devices, 6) == names


def test_one_device_by_default():
    assert distribution(None, 1).num_replicas_in_sync == 1


@pytest.mark.parametrize("devices", ["4", "0", "gpu:3", "tpu:0", "", "gpu:0,"])
def test_devices_that_are_not_there(devices):
    with pytest.raises(InputError, match="3 GPUs here and has cpu:0, gpu:0, gpu:1, gpu:2"):
        distribution(devices, 12)


@pytest.mark.parametrize("devices", ["gpu:1,gpu:1", "cpu:0,gpu:0"])
def test_devices_that_cannot_work_together(devices):
    with pytest.raises(InputError, match="different devices of one kind"):
        distribution(devices, 2)


def test_images_must_be_shared_evenly():
    with pytest.raises(InputError, match="3 devices cannot share mini-batches of 2 images"):
        distribution("3", 2)
