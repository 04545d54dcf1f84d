"""EfficientNet-lite1 as a trunk (Tan and Le 2019, arXiv 1905.11946; Google's "lite" variant).

Keras has no application of it. Shape letters: N images, H x W pixels.
"""

import keras
from keras import layers

from keras_frcnn.models.depthwise import DepthwiseReLU6

# Each stage: blocks, size of the depthwise kernels, stride of the first block, output channels.
_STAGES = (
    (1, 3, 1, 16),
    (3, 3, 2, 24),
    (3, 5, 2, 40),
    (4, 3, 2, 80),
    (4, 5, 1, 112),
    (5, 5, 2, 192),
    (1, 3, 1, 320),
)
_DILATED_FROM = 15  # the block that takes the classifier of ImageNet from stride 16 to 32
_TAPS = (3, 6, 14, 20)  # the blocks before the next step, and the last
# Mean of the features after RoI max pooling, with ImageNet weights on photographs of VOC.
_POOLED_MEAN = 1.25
# What random weights have to make up for: photographs deviate by 58 of the 128 grey levels that
# the pixels are divided by.
_STEM_GAIN = 128 / 58


def efficientnet_lite1(images):
    """Images [N, H, W, 3], RGB from -1 to 1, to features [N, H / 16, W / 16, 320].

    Batch normalisation is folded into the convolutions, as in weight files with these names of
    layers. Blocks 15 to 20 stay at stride 16: block 15 makes steps of one cell instead of two, and
    from there on the depthwise kernels are dilated by 2, so that they see what they were trained
    on. The last convolution is linear, so features may be negative.
    """
    x = _blocks(images, _DILATED_FROM)[-1]
    # The random fc6 learns slowly from inputs that all share a large mean: trained alone for 240
    # steps, the heads came to a class loss of 0.64 with this and 0.77 without.
    return layers.Rescaling(1.0, -_POOLED_MEAN, name="center")(x)


def efficientnet_lite1_taps(images):
    """The same network with its own strides: its last maps at strides 4, 8, 16 and 32."""
    outputs = _blocks(images, None)
    return [outputs[number] for number in _TAPS]


def _blocks(images, dilated_from):
    """The outputs of all blocks; from one of them on, if any, steps are replaced by dilation."""
    x = _conv(images, 32, 3, "stem_conv", 2, "relu6", _STEM_GAIN)
    outputs = []
    for blocks, size, first_stride, filters in _STAGES:
        for stride in (first_stride,) + (1,) * (blocks - 1):
            number = len(outputs)
            is_dilated = dilated_from is not None and number >= dilated_from
            x = _block(x, number, size, stride, filters, is_dilated)
            outputs.append(x)
    return outputs


def _block(x, number, size, stride, filters, is_dilated):
    """Expand, convolve by channels, project; the input is added where that is possible."""
    name = f"block{number}"
    y = x
    if number > 0:
        y = _conv(y, 6 * x.shape[-1], 1, f"{name}_expand", activation="relu6")
    y = DepthwiseReLU6(
        size,
        1 if is_dilated else stride,
        2 if is_dilated else 1,
        # He's; Keras's own initial values take all channels for inputs of each.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=2**0.5 / size),
        name=f"{name}_depthwise",
    )(y)
    y = _conv(y, filters, 1, f"{name}_project")
    is_residual = stride == 1 and filters == x.shape[-1]
    return layers.Add(name=f"{name}_add")([x, y]) if is_residual else y


def _conv(x, filters, size, name, strides=1, activation=None, gain=1.0):
    # He's 2 makes up for what ReLU removes; the linear projections remove nothing.
    scale = (2.0 if activation else 1.0) * gain**2
    return layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        activation=activation,
        kernel_initializer=keras.initializers.VarianceScaling(scale),
        name=name,
    )(x)
