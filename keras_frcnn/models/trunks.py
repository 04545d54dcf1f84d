"""The convolutional networks that turn an image into the feature map RoI pooling reads.

A trunk ends before the last max pooling, which RoI pooling replaces (paper section 2.2).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
from keras import layers

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.models import heads
from keras_frcnn.models.convolution import ConvReLU2D
from keras_frcnn.models.layers import LocalResponseNorm


@dataclass(frozen=True)
class Trunk:
    """A trunk and the head that belongs to it; any Keras feature extractor can be one.

    `build` takes the Keras tensor of the images, BGR with `pixel_means` subtracted (and divided
    by `model.PIXEL_STD` when `fast_rcnn` loads no weights), and returns that of the features. It
    may begin with layers that undo this for a network trained on other inputs.
    """

    build: Callable  # images [N, H, W, 3] -> features [N, H / stride, W / stride, C]
    stride: int  # pixels per feature cell; the spatial scale of RoI pooling is 1 / stride
    pixel_means: tuple[float, float, float] = (103.939, 116.779, 123.68)  # B, G, R
    pool_size: tuple[int, int] = (7, 7)  # cells of RoI pooling, height and width
    fc_units: tuple[int, int] = (4096, 4096)  # of fc6 and fc7
    # Its parts from the image on, by the names that `finetune_from` takes, and their layers.
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # The first part that is fine-tuned when weights are loaded (paper section 4.5); None: all.
    finetune_from: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)  # layer -> its name in weight files

    def frozen(self, finetune_from: str | None = None) -> list[str]:
        """The layers before `finetune_from`, the trunk's own by default: they are not trained.

        Raises:
            InputError: the trunk has no part of that name.
        """
        first = finetune_from or self.finetune_from
        parts = self.parts | heads.PARTS
        names = list(parts)
        if first is None:
            return []
        if first not in names:
            raise InputError(
                f"finetune_from: {did_you_mean(first, names)}; the trunk's layers are "
                + ", ".join(names)
            )
        return [layer for name in names[: names.index(first)] for layer in parts[name]]


def _vgg16(images):
    # Random weights here: pretrained ones are loaded over them by `keras_frcnn.models.weights`.
    x = images
    for block, filters in enumerate([(64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3], 1):
        if block > 1:
            x = layers.MaxPooling2D(2, name=f"block{block - 1}_pool")(x)
        for conv, units in enumerate(filters, 1):
            # Not Keras's default (Glorot): it halves the signal at every ReLU, and after 13 of
            # them nothing of the image is left and training does not start.
            x = ConvReLU2D(
                units, 3, kernel_initializer="he_normal", name=f"block{block}_conv{conv}"
            )(x)
    return x


def _conv(x, filters, size, name, strides=1, gain=1.0):
    return layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        activation="relu",
        kernel_initializer=keras.initializers.VarianceScaling(2.0 * gain**2),  # He's for gain 1
        name=name,
    )(x)


def _vgg_cnn_m_1024(images):
    def norm_and_pool(x, number):
        # In float32 under any policy: TensorFlow has no bfloat16 kernel for it on the CPU.
        x = LocalResponseNorm(dtype="float32", name=f"norm{number}")(x)
        return layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)

    # The normalisation divides small values by 2 ** 0.75, which random weights make up for.
    x = norm_and_pool(_conv(images, 96, 7, "conv1", strides=2, gain=2**0.75), 1)
    x = norm_and_pool(_conv(x, 256, 5, "conv2", strides=2, gain=2**0.75), 2)
    for name in ("conv3", "conv4", "conv5"):
        x = _conv(x, 512, 3, name)
    return x


def _squeezenet(images):
    def fire(x, squeeze, expand, name):
        x = _conv(x, squeeze, 1, f"{name}_squeeze1x1")
        return layers.Concatenate(name=f"{name}_concat")(
            [_conv(x, expand, 1, f"{name}_expand1x1"), _conv(x, expand, 3, f"{name}_expand3x3")]
        )

    def pool(x, name):
        return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)

    x = pool(_conv(images, 64, 3, "conv1", strides=2), "pool1")
    x = fire(fire(x, 16, 64, "fire2"), 16, 64, "fire3")
    x = pool(x, "pool3")
    x = fire(fire(x, 32, 128, "fire4"), 32, 128, "fire5")
    x = pool(x, "pool5")
    x = fire(fire(x, 48, 192, "fire6"), 48, 192, "fire7")
    return fire(fire(x, 64, 256, "fire8"), 64, 256, "fire9")


_FIRE = {
    f"fire{i}": tuple(f"fire{i}_{part}" for part in ("squeeze1x1", "expand1x1", "expand3x3"))
    for i in range(2, 10)
}

TRUNKS = {
    # Simonyan and Zisserman 2015, the paper's model L.
    "vgg16": Trunk(
        build=_vgg16,
        stride=16,
        parts={
            f"conv{block}_{i}": (f"block{block}_conv{i}",)  # the paper's name and Keras's
            for block, convolutions in enumerate((2, 2, 3, 3, 3), 1)
            for i in range(1, convolutions + 1)
        },
        finetune_from="conv3_1",
        renamed={"fc6": "fc1", "fc7": "fc2"},
    ),
    # Chatfield et al. 2014, the paper's model M: a tenth of VGG16's operations.
    "vgg_cnn_m_1024": Trunk(
        build=_vgg_cnn_m_1024,
        stride=16,
        pool_size=(6, 6),
        fc_units=(4096, 1024),
        parts={f"conv{i}": (f"conv{i}",) for i in range(1, 6)},
        finetune_from="conv2",
    ),
    # Iandola et al. 2016, version 1.1: 0.7 million weights where VGG16 has 14.7 million.
    "squeezenet": Trunk(
        build=_squeezenet,
        stride=16,
        pixel_means=(104.0, 117.0, 123.0),
        fc_units=(1024, 1024),
        parts={"conv1": ("conv1",), **_FIRE},
        finetune_from="fire2",
        renamed={name: name.replace("_", "/") for names in _FIRE.values() for name in names},
    ),
}
