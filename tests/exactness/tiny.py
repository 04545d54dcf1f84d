"""A detector of three small convolutions, and mini-batches for it."""

import keras
import numpy as np

from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss
from keras_frcnn.models.trunks import Trunk
from keras_frcnn.training.optimizer import SGD
from tests.exactness import numpy_fast_rcnn

CLASSES = 3
LAMBDA = 0.7
RATE, MOMENTUM, DECAY = 0.01, 0.9, 0.05
RNG = np.random.default_rng(0)
MEAN = RNG.normal(0, 0.1, (CLASSES, 4)).astype(np.float32)
STD = RNG.integers(2, 9, (CLASSES, 4)) / np.float32(32)  # whose squares are exact as well


def tiny_trunk(x):
    for (name, stride), filters in zip(numpy_fast_rcnn.STRIDES.items(), (4, 5, 6), strict=True):
        x = keras.layers.Conv2D(
            filters, 3, stride, "same", activation="relu", kernel_initializer="he_normal", name=name
        )(x)
    return x


def tiny_model(dropout=0.0, fc_units=(7, 6)):
    """A compiled detector, of 900 weights unless `fc_units` says more; biases are not zero."""
    keras.utils.set_random_seed(3)
    trunk = Trunk(tiny_trunk, numpy_fast_rcnn.TRUNK_STRIDE, pool_size=(numpy_fast_rcnn.POOL,) * 2)
    names = map(str, range(CLASSES))
    model = FastRCNN(names, trunk, None, (MEAN, STD), fc_units=fc_units, dropout=dropout)
    rng = np.random.default_rng(1)
    for name in numpy_fast_rcnn.LAYERS:
        layer = model.get_layer(name)
        layer.bias.assign(rng.normal(0.1, 0.1, layer.bias.shape))
        if name in ("cls_score", "bbox_deltas"):  # 0.01 and 0.001 would hide their gradients
            layer.kernel.assign(rng.normal(0, 0.5, layer.kernel.shape))
    model.compile(
        SGD(RATE, MOMENTUM, DECAY),
        {"cls_score": ClassificationLoss(), "bbox_pred": BoxRegressionLoss(STD, LAMBDA)},
        jit_compile=False,
    )
    return model


def batch(seed):
    """Two images with six RoIs each: foreground, background and padding (label -1)."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 58, (2, 22, 32, 3))
    corner = rng.uniform(-2, 14, (2, 6, 2))
    rois = np.concatenate([corner, corner + rng.uniform(4, 16, (2, 6, 2))], axis=-1)
    labels = np.array([[1, 3, 2, 0, 0, 0], [2, 0, 0, 1, -1, -1]])
    rois[labels < 0] = 0
    # Normalised errors on both sides of 1, where smooth L1 changes from square to line.
    targets = rng.normal(0, 0.3, (2, 6, 4)) * (labels > 0)[..., None]
    return images, rois.astype(np.float32), labels, targets


def as_keras(images, rois, labels, targets):
    rows = np.concatenate([labels[..., None], targets], axis=-1)
    return {"images": images, "rois": rois}, {"cls_score": labels, "bbox_pred": rows}
