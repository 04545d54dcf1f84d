"""The networks of `keras.applications`, rebuilt as trunks.

Shape letters: N images of H x W pixels, C channels.
"""

import random
from collections.abc import Sequence

import keras
from keras import layers

from keras_frcnn.models.convolution import ChannelwiseConv2D, ConvReLU2D

STRIDE = 16  # of the features, in pixels


def application_features(images, name: str, reader: str | int | None):
    """Build the layers of an application on `images`, with random weights, up to its features.

    Layers keep the names and the weights' shapes that they have in Keras, so that published
    weights are loaded by name. What differs:

    * The application's own preprocessing is left out: `Trunk.pixel_std` does it.
    * Where the stride would exceed 16 it stays, and what comes later is dilated instead
      (Chen et al. 2017, section 3.1): at every second cell the features are those of Keras's
      network, apart from the padding at the borders and from squeeze-and-excitation, whose means
      are then over more cells.
    * Nothing is dropped in training: dropout on whole residual branches is for training from
      nothing, and would disturb what frozen layers compute.
    * Convolutions of VGG are `ConvReLU2D`, depthwise ones of ConvNeXt `ChannelwiseConv2D`.
    * Layers of models within the network are layers like the others.

    Args:
        images: Keras tensor [N, H, W, 3].
        name: of the class in `keras.applications`.
        reader: the layer whose input are the features, by name or index; None: they are what the
            network ends with.

    Returns:
        The Keras tensor of the features, [N, H / 16, W / 16, C].
    """
    network = _network(name)
    if reader is None:
        features = network.output
    else:
        key = "name" if isinstance(reader, str) else "index"
        features = network.get_layer(**{key: reader}).input
    return _rebuilt(images, network, features, STRIDE).last


def application_taps(images, name: str, taps: Sequence[str], stride: int) -> list:
    """The same with the network's own strides, up to the outputs of several layers.

    Args:
        images, name: as for `application_features`.
        taps: the layers, in the order of the network.
        stride: of the last one.

    Returns:
        The Keras tensors of their outputs.
    """
    network = _network(name)
    last = network.get_layer(taps[-1]).output
    results = _rebuilt(images, network, last, stride).results
    return [results[tap] for tap in taps]


def _network(name: str) -> keras.Model:
    """The application, for any size of images."""
    # The initial values of this first copy are thrown away. It shall not use up random numbers, so
    # that those of the trunk depend on the seed alone.
    state = random.getstate()
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(None, None, 3)
    )
    random.setstate(state)
    return network


def _rebuilt(images, network: keras.Model, features, most: int) -> "_Rebuild":
    """What has called copies of the layers up to `features` on `images`."""
    rebuild = _Rebuild(most)
    keras.models.clone_model(
        keras.Model(network.input, features),
        input_tensors=images,
        clone_function=lambda layer: layer,
        call_function=rebuild,
    )
    # Not the output of the clone, which Keras disconnects from images that are no input layer.
    return rebuild


class _Rebuild:
    """Calls a copy of every layer, changed so that strides of all together end at `most`."""

    def __init__(self, most: int):
        self.most = most
        self.last = None  # the result of the last layer
        self.results = {}  # those of all layers by name
        self._reached = {}  # id of a tensor -> (its stride in pixels, dilation of what reads it)
        self._unpadded = {}  # id of a padded tensor -> the tensor before

    def __call__(self, layer, *args, **kwargs):
        """Call the copy of `layer` on tensors that copies have returned."""
        if isinstance(layer, keras.Sequential):
            for inner in layer.layers:
                args = (self(inner, *args),)
            return args[0]
        tensors = [
            x for x in keras.tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(x)
        ]
        stride, dilation = max(self._reached.get(id(x), (1, 1)) for x in tensors)
        changes = {}
        if isinstance(layer, layers.Rescaling | layers.Normalization):
            return args[0]
        if isinstance(layer, layers.Dropout):
            changes["rate"] = 0.0
        own_stride = max(getattr(layer, "strides", (1,)))
        is_too_far = stride * own_stride > self.most
        if is_too_far:
            changes["strides"] = 1
        if dilation > 1 and max(getattr(layer, "kernel_size", (1,))) > 1:
            changes["dilation_rate"] = dilation
        if is_too_far or "dilation_rate" in changes:
            # Keras pads by layers of their own in front of some convolutions, for their strides.
            args = (self._unpadded.get(id(args[0]), args[0]),)
            changes["padding"] = "same"
        result = _changed(layer, changes)(*args, **kwargs)
        if isinstance(layer, layers.ZeroPadding2D):
            self._unpadded[id(result)] = args[0]
        self._reached[id(result)] = (
            (stride, dilation * own_stride) if is_too_far else (stride * own_stride, dilation)
        )
        self.last = self.results[layer.name] = result
        return result


def _changed(layer, changes: dict):
    """A copy of the layer (or operation) with random weights and with changes to its arguments."""
    is_conv = type(layer) is layers.Conv2D and layer.activation is keras.activations.relu
    if is_conv and layer.strides == (1, 1) and layer.padding == "same" and not changes:
        # Not Keras's initial values (Glorot): they halve the signal at every ReLU, and after the 13
        # of VGG16 nothing of the image is left and training does not start.
        return ConvReLU2D(
            layer.filters,
            layer.kernel_size,
            kernel_initializer="he_normal",
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    is_channelwise = isinstance(layer, layers.Conv2D) and layer.groups > 1
    kind = ChannelwiseConv2D if is_channelwise else type(layer)
    return kind.from_config({**layer.get_config(), **changes})
