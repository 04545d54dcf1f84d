"""Training runs of a second: a trunk of two convolutions, three small images."""

from contextlib import contextmanager

import pytest
from keras import layers

from keras_frcnn.models.trunks import TRUNKS, Trunk
from keras_frcnn.settings import Settings
from tests.images import colored_rectangles


def _build(images):
    x = layers.Conv2D(8, 5, strides=4, padding="same", activation="relu", name="conv1")(images)
    return layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="conv2")(x)


def add_trunk(monkeypatch):
    """Let `TRUNKS` have "tiny", with a stride of 8 pixels."""
    trunk = Trunk(_build, stride=8, pool_size=(3, 3), fc_units=(16, 16), mask_channels=8)
    monkeypatch.setitem(TRUNKS, "tiny", trunk)


@contextmanager
def tiny_trunk():
    """`TRUNKS` with "tiny" for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        add_trunk(patch)
        yield


def tiny_settings(**changes):
    """Settings of a run on `tiny_dataset`, when `add_trunk` has been called."""
    return Settings(
        **{
            "data": "rectangles",
            "split": "",
            "class_names": ("one", "two"),
            "trunk": "tiny",
            "dropout": 0.0,
            "min_side": (64,),
            "max_side": 100,
            "rois_per_image": 16,
            "steps": 3,
            "rate": 0.01,
            "decay_at": (),
            "precision": "float32",
            **changes,
        }
    )


def tiny_dataset(folder):
    """Three images of 60 to 70 pixels a side with four objects of two classes."""
    return colored_rectangles(
        folder,
        [(60, 70), (70, 60), (64, 64)],
        [[(5, 5, 40, 40)], [(10, 20, 50, 60)], [(8, 8, 30, 60), (35, 8, 60, 60)]],
        labels=[[1], [2], [1, 2]],
    )
