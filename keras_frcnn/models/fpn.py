"""Feature pyramid network (Lin et al. 2017, section 3): maps of one width at every stride.

Shape letters: N images of H x W pixels, C channels, L levels, the finest first.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers

LATERAL, OUTPUT = "fpn_lateral", "fpn_output"  # and the level, 2 for stride 4


def pyramid(taps: Sequence, channels: int = 256) -> list:
    """The maps P2, P3, ... of a trunk's taps C2, C3, ...

    A 1 x 1 convolution brings each tap to the pyramid's width, the coarser map is added, enlarged
    to twice its size without interpolation, and a 3 x 3 convolution takes away what that leaves of
    its cells. None has a non-linearity behind it.

    Args:
        taps: [N, H_l, W_l, C_l], each half the size of the one before: sides of images are
            multiples of the last stride (`PadToMultiple`).
        channels: of the maps.
    """

    def conv(size, kind, level):
        return layers.Conv2D(
            channels,
            size,
            padding="same",
            # As in the authors' code: uniform, by the number of inputs.
            kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
            name=f"{kind}{level}",
        )

    inner = None
    maps = []
    for level, tap in reversed(list(enumerate(taps, start=2))):
        lateral = conv(1, LATERAL, level)(tap)
        if inner is not None:
            above = layers.UpSampling2D(2, name=f"fpn_up{level}")(inner)
            lateral = layers.Add(name=f"fpn_sum{level}")([lateral, above])
        inner = lateral
        maps.append(conv(3, OUTPUT, level)(inner))
    return maps[::-1]


def coarser(features):
    """P6 for anchors of 512 pixels: every second cell of P5."""
    return layers.MaxPooling2D(1, 2, padding="same", name="fpn_p6")(features)


@keras.saving.register_keras_serializable(package="keras_frcnn")
class PadToMultiple(layers.Layer):
    """Zeros right of and below images [N, H, W, C], until both sides are multiples of a number.

    The levels of a pyramid then differ by a factor of exactly two.

    Args:
        multiple: the number, the coarsest stride.
    """

    def __init__(self, multiple: int, **kw):
        super().__init__(**kw)
        self.multiple = multiple

    def call(self, images):
        """Pad."""
        missing = -tf.shape(images)[1:3] % self.multiple
        padded = tf.pad(images, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
        padded.set_shape(self.compute_output_shape(images.shape))
        return padded

    def compute_output_shape(self, shape):
        """As far as known."""
        n, *sides, channels = shape
        return (n, *(s and s + -s % self.multiple for s in sides), channels)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "multiple": self.multiple}
