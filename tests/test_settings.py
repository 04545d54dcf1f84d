import json
import math
from dataclasses import replace

import pytest

from keras_frcnn.errors import InputError
from keras_frcnn.settings import PRECISIONS, Settings, default_precision

SETTINGS = Settings("photos", "train", ("cat", "dog"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trunk": "vgg19"}, "'vgg19' is unknown, the nearest is 'vgg16'"),
        ({"precision": "bfloat16"}, "nearest is 'mixed_bfloat16'"),
        ({"rate": math.inf}, "rate: must be positive and finite, not inf"),
        ({"rate": math.nan}, "rate: must be positive and finite, not nan"),
        ({"l2": math.nan}, "l2: must be at least 0 and finite, not nan"),
        ({"l2": math.inf}, "l2: must be at least 0 and finite, not inf"),
        ({"momentum": -0.1}, "momentum: must be from 0 to below 1, not -0.1"),
        ({"momentum": 1.0}, "momentum: must be from 0 to below 1, not 1.0"),
        ({"momentum": math.nan}, "momentum: must be from 0 to below 1, not nan"),
        ({"dropout": 1.0}, "dropout: must be from 0 to below 1, not 1.0"),
        ({"box_loss_weight": -1.0}, "box_loss_weight: must be at least 0 and finite"),
        ({"keep_checkpoints": 0}, "keep_checkpoints"),
        ({"images_per_batch": 0}, "images_per_batch"),
        ({"decay_at": (0, 10)}, "decay_at"),
        ({"decay_at": (3, 3)}, "decay_at: a step is given twice"),
        ({"min_side": ()}, "min_side"),
        ({"min_side": (480, 1200)}, r"max_side \(1000\)"),
        ({"fc_units": (0, 8)}, "fc_units"),
        ({"weights": "w.h5", "initial": "runs/a"}, "weights and initial"),
        ({"weights": "w.h5", "finetune_from": "conv6_1"}, "conv6_1.*layers are conv1_1"),
        ({"finetune_from": "conv2_1"}, "random weights"),
    ],
)
def test_impossible_values_are_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(SETTINGS, **change)


def test_saved_settings_come_back_equal():
    odd = replace(SETTINGS, min_side=(480, 576), decay_at=(), fc_units=(8, 4), recipe="r")
    for settings in (SETTINGS, odd):
        assert Settings(**json.loads(json.dumps(settings.to_dict()))) == settings


def test_defaults_are_the_papers():
    """Section 2.3: two images, 64 RoIs of each, 40k steps, the rate's drop after 30k of them."""
    s = SETTINGS
    assert (s.images_per_batch, s.rois_per_image, s.steps, s.decay_at) == (2, 64, 40_000, (30_000,))
    assert (s.rate, s.momentum, s.l2, s.bias_decay) == (0.001, 0.9, 0.0005, True)
    assert (s.min_side, s.max_side, s.box_loss_weight) == ((600,), 1000, 1.0)
    assert s.precision == default_precision() and s.precision in PRECISIONS
