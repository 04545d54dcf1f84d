"""The trunks that Keras has no application of."""

import keras
from keras import layers

from keras_frcnn.models.layers import LocalResponseNorm


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


def vgg_cnn_m_1024(images, channels=512):
    """Chatfield et al. 2014, the paper's model M: [N, H, W, 3] to [N, H / 16, W / 16, channels].

    With fewer `channels` all layers are narrower by the same factor.
    """
    width = channels / 512

    def norm_and_pool(x, number):
        # In float32 under any policy: TensorFlow has no bfloat16 kernel for it on the CPU.
        x = LocalResponseNorm(dtype="float32", name=f"norm{number}")(x)
        return layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)

    # The normalisation divides small values by 2 ** 0.75, which random weights make up for.
    x = norm_and_pool(_conv(images, round(96 * width), 7, "conv1", strides=2, gain=2**0.75), 1)
    x = norm_and_pool(_conv(x, round(256 * width), 5, "conv2", strides=2, gain=2**0.75), 2)
    for name in ("conv3", "conv4", "conv5"):
        x = _conv(x, channels, 3, name)
    return x


def squeezenet(images):
    """Iandola et al. 2016, version 1.1: [N, H, W, 3] to [N, H / 16, W / 16, 512]."""

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
