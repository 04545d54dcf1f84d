"""A detector with a trunk like VGG16's, but small, and an image with proposals."""

import keras
import numpy as np
from keras import layers

from keras_frcnn.benchmarks.roi_pool_workload import selective_search_like_rois
from keras_frcnn.detection.detector import Detector
from keras_frcnn.models.convolution import ConvReLU2D
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.trunks import Trunk

K, PROPOSALS = 3, 40
MEANS = (103.939, 116.779, 123.68)


def build_trunk(images):
    x = images
    for block, filters in enumerate((4, 6, 8)):
        x = ConvReLU2D(filters, 3, kernel_initializer="he_normal", name=f"conv{block}")(x)
        if block < 2:
            x = layers.MaxPooling2D(4, name=f"pool{block}")(x)
    return x


def small_detector() -> Detector:
    """With biases and statistics of box targets, all of which must reach the ONNX graph."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(K, 4)), rng.uniform(0.5, 2, (K, 4))
    trunk = Trunk(build=build_trunk, stride=16)
    model = FastRCNN(map(str, range(K)), trunk, None, (mean, std), fc_units=(40, 24))
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(size=layer.bias.shape, scale=0.3))
    for name in ("cls_score", "bbox_deltas"):
        kernel = model.get_layer(name).kernel
        kernel.assign(kernel * 30)
    return Detector(model, MEANS, min_side=96, max_side=160)


def image_and_proposals():
    """Half the scaled size, so that scaling must be right as well."""
    image = np.random.default_rng(1).integers(0, 256, (48, 80, 3)).astype(np.uint8)
    return image, selective_search_like_rois(PROPOSALS, 1, 96, 160)[:, 1:] / 2
