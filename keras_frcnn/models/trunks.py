"""The convolutional networks that turn an image into the feature map RoI pooling reads.

A trunk ends before the last max pooling, which RoI pooling replaces (paper section 2.2). This table
is read without TensorFlow or Keras: what builds the networks is imported when one is built.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from keras_frcnn.errors import InputError, did_you_mean
from keras_frcnn.models import heads


@dataclass(frozen=True)
class Trunk:
    """A trunk and the head that belongs to it; any Keras feature extractor can be one.

    `build` takes the Keras tensor of the images, BGR with `pixel_means` subtracted, and returns
    that of the features. With `pixel_std` it gets RGB divided by these deviations instead; without
    it, pixels divided by `building.PIXEL_STD` when `FastRCNN` loads no weights.
    """

    build: Callable  # images [N, H, W, 3] -> features [N, H / stride, W / stride, C]
    stride: int  # pixels per feature cell; the spatial scale of RoI pooling is 1 / stride
    # Strides of the maps where `build` returns several, the taps of a feature pyramid: 4, 8, 16
    # and 32. `stride` is then the one that anchors are measured in, 16 at the level of that stride.
    levels: tuple[int, ...] = ()
    # B, G, R. Batches are padded with zeros, so this is also the colour of the padding: the one
    # that the network's own preprocessing makes zero.
    pixel_means: tuple[float, float, float] = (103.939, 116.779, 123.68)
    pixel_std: tuple[float, float, float] | None = None  # B, G, R
    pool_size: tuple[int, int] = (7, 7)  # cells of RoI pooling, height and width
    fc_units: tuple[int, int] = (4096, 4096)  # of fc6 and fc7
    rpn_channels: int = 512  # of the hidden layer of a region proposal network
    mask_channels: int = 256  # of the convolutions of a mask branch
    # Its parts from the image on, by the names that `finetune_from` takes, and their layers: names,
    # or patterns of `fnmatch`.
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # The first part that is fine-tuned when weights are loaded (paper section 4.5); None: all.
    finetune_from: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)  # layer -> its name in weight files
    # The class in keras.applications that `weights="imagenet"` takes; None: there are none.
    application: str | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the map, or of each level."""
        return self.levels or (self.stride,)

    def frozen(self, finetune_from: str | None = None, detector: str = "fast_rcnn") -> list[str]:
        """The layers before `finetune_from`, the trunk's own by default: they are not trained.

        They are named as in `parts`; `detector` tells what comes after them (`heads.parts`).

        Raises:
            InputError: the trunk has no part of that name.
        """
        first = finetune_from or self.finetune_from
        parts = self.parts | heads.parts(detector)
        names = list(parts)
        if first is None:
            return []
        if first not in names:
            raise InputError(
                f"finetune_from: {did_you_mean(first, names)}; the trunk's layers are "
                + ", ".join(names)
            )
        return [layer for name in names[: names.index(first)] for layer in parts[name]]


def is_one_of(layer: str, patterns: Iterable[str]) -> bool:
    """Whether `Trunk.parts` and `Trunk.frozen` mean this layer."""
    return any(fnmatchcase(layer, pattern) for pattern in patterns)


def _vgg_cnn_m(channels: int, fc_units: tuple[int, int]) -> Trunk:
    def build(images):
        from keras_frcnn.models.networks import vgg_cnn_m_1024

        return vgg_cnn_m_1024(images, channels)

    return Trunk(
        build=build,
        stride=16,
        pool_size=(6, 6),
        fc_units=fc_units,
        rpn_channels=256,
        parts={f"conv{i}": (f"conv{i}",) for i in range(1, 6)},
        finetune_from="conv2",
    )


def _squeezenet(images):
    from keras_frcnn.models.networks import squeezenet

    return squeezenet(images)


def _efficientnet_lite1_taps(images):
    from keras_frcnn.models.efficientnet_lite import efficientnet_lite1_taps

    return efficientnet_lite1_taps(images)


def _efficientnet_lite1(images):
    from keras_frcnn.models.efficientnet_lite import efficientnet_lite1

    return efficientnet_lite1(images)


def _application(
    name: str, features: str | int | None, parts: dict, finetune_from: str, **kw
) -> Trunk:
    """The trunk of an application of Keras.

    Args:
        name: in `keras.applications`.
        features: the layer whose input they are, by name or index; None: they are what the network
            ends with.
        parts, finetune_from, **kw: of `Trunk`.
    """

    def build(images):
        from keras_frcnn.models.applications import application_features

        return application_features(images, name, features)

    # fc6 of 1024 units, as is usual with these networks: VGG16's 4096 would be 411 million weights
    # on the 2048 channels of ResNet.
    kw = {"fc_units": (1024, 1024), **kw}
    return Trunk(build, 16, parts=parts, finetune_from=finetune_from, application=name, **kw)


LEVELS = (4, 8, 16, 32)  # strides of a pyramid's maps


def _pyramid(trunk: Trunk, build: Callable) -> Trunk:
    """The trunk of a feature pyramid: what another ends with is the last of its taps.

    Args:
        build: images to the taps.
    """
    return replace(
        trunk,
        build=build,
        levels=LEVELS,
        pool_size=(7, 7),
        fc_units=(1024, 1024),
        rpn_channels=256,
        parts=trunk.parts | {"fpn": ("fpn_*",)},
        renamed={},
    )


def _application_pyramid(trunk: Trunk, *taps: str) -> Trunk:
    """A pyramid on an application of Keras; `taps` are the layers whose outputs it takes."""

    def build(images):
        from keras_frcnn.models.applications import application_taps

        return application_taps(images, trunk.application, taps, max(LEVELS))

    return _pyramid(trunk, build)


def _vgg(name: str, blocks: tuple[int, ...]) -> Trunk:
    parts = {
        f"conv{block}_{i}": (f"block{block}_conv{i}",)  # the paper's name and Keras's
        for block, convolutions in enumerate(blocks, 1)
        for i in range(1, convolutions + 1)
    }
    head = {"fc_units": (4096, 4096), "renamed": {"fc6": "fc1", "fc7": "fc2"}}
    return _application(name, "block5_pool", parts, "conv3_1", **head)


def _numbered(pattern: str, first: int, last: int) -> tuple[str, ...]:
    return tuple(pattern.format(i) for i in range(first, last + 1))


_FIRE = {
    f"fire{i}": tuple(f"fire{i}_{part}" for part in ("squeeze1x1", "expand1x1", "expand3x3"))
    for i in range(2, 10)
}
_RESNET = {f"conv{i}": (f"conv{i}_*",) for i in range(1, 5)} | {"conv5": ("conv5_*", "post_*")}
_DENSENET = {
    "conv1": ("conv1_*",),
    **{f"conv{i}": (f"conv{i}_*", f"pool{i}_*") for i in range(2, 5)},
    "conv5": ("conv5_*", "bn"),
}
_EFFICIENTNET = {"stem": ("stem_*",)} | {f"block{i}": (f"block{i}*",) for i in range(1, 8)}
_EFFICIENTNET_6 = {name: layers for name, layers in _EFFICIENTNET.items() if name != "block7"}
# A stage of these ends where the next halves the features.
_MOBILENET = {
    f"stage{i}": (*_numbered("conv_?w_{}", *blocks), *_numbered("conv_?w_{}_bn", *blocks))
    for i, blocks in enumerate(((1, 1), (2, 3), (4, 5), (6, 11), (12, 13)), 1)
}
_MOBILENET["stage1"] += ("conv1", "conv1_bn")
_MOBILENET_V2 = {
    "stage1": ("Conv1", "bn_Conv1", "expanded_conv_*"),
    "stage2": _numbered("block_{}_*", 1, 2),
    "stage3": _numbered("block_{}_*", 3, 5),
    "stage4": _numbered("block_{}_*", 6, 12),
    "stage5": _numbered("block_{}_*", 13, 16),
}
_FIRST_BLOCK = "expanded_conv_[!0-9]*"  # the others have a number
_MOBILENET_V3_SMALL = {
    "stage1": ("conv", "conv_bn"),
    "stage2": (_FIRST_BLOCK,),
    "stage3": _numbered("expanded_conv_{}_*", 1, 2),
    "stage4": _numbered("expanded_conv_{}_*", 3, 7),
    "stage5": _numbered("expanded_conv_{}_*", 8, 10),
}
_MOBILENET_V3_LARGE = {
    "stage1": ("conv", "conv_bn", _FIRST_BLOCK),
    "stage2": _numbered("expanded_conv_{}_*", 1, 2),
    "stage3": _numbered("expanded_conv_{}_*", 3, 5),
    "stage4": _numbered("expanded_conv_{}_*", 6, 11),
    "stage5": _numbered("expanded_conv_{}_*", 12, 14),
}

_CONVNEXT = {"stem": ("*_stem_*",), "stage_0": ("*_stage_0_*",)} | {
    f"stage_{i}": (f"*_stage_{i}_*", f"*_downsampling_*_{i - 1}") for i in range(1, 4)
}

# The preprocessing that the weights of an application were trained with, in the words of Keras
# ("caffe" is the default of `Trunk`).
_TF = {"pixel_means": (127.5,) * 3, "pixel_std": (127.5,) * 3}
_TORCH = {"pixel_means": (103.53, 116.28, 123.675), "pixel_std": (57.375, 57.12, 58.395)}
_V2 = {"pixel_means": (128.0,) * 3, "pixel_std": (128.0,) * 3}  # EfficientNetV2 S, M and L

# The features of the applications have a stride of 16 or, where the network's own is 32, the last
# stage is dilated (`models.applications`). Detectors with fully connected heads like ours take
# them so: R-FCN, Detectron2's R50-DC5. (C4, which ends at ResNet's conv4, has conv5 in its head;
# conv4 alone under fc6 and fc7 would leave out half of what was pretrained.) Of MobileNets and
# EfficientNets the features are what the last block returns, as DeepLab and EfficientDet have it:
# the 1 x 1 convolution behind it, to 4 to 6 times as many channels, serves the classifier and would
# make fc6 as much larger.
# All of them leave the earliest two halvings frozen, as VGG16 does.
# Not here are
# * Inception, InceptionResNet and NASNet: convolutions and poolings without padding shift the
#   features against the image by more the larger it is;
# * Xception: the two branches of its strided blocks read different cells, which cannot both stay.
TRUNKS = {
    # Simonyan and Zisserman 2015, the paper's model L.
    "vgg16": _vgg("VGG16", (2, 2, 3, 3, 3)),
    "vgg19": _vgg("VGG19", (2, 2, 4, 4, 4)),
    # Chatfield et al. 2014, the paper's model M: a tenth of VGG16's operations.
    "vgg_cnn_m_1024": _vgg_cnn_m(512, (4096, 1024)),
    # The same at half the width, a quarter of its operations: what a processor trains from random
    # weights in minutes.
    "vgg_cnn_m_half": _vgg_cnn_m(256, (512, 256)),
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
    # Google's EfficientNet-lite (2020), of 3.7 million weights: without squeeze-and-excitation.
    "efficientnet_lite1": Trunk(
        build=_efficientnet_lite1,
        stride=16,
        pixel_means=(127.0,) * 3,
        pixel_std=(128.0,) * 3,
        fc_units=(1024, 1024),
        parts={"stem": ("stem_conv",)} | {f"block{i}": (f"block{i}_*",) for i in range(21)},
        finetune_from="block7",
    ),
    # He et al. 2016.
    "resnet50": _application("ResNet50", None, _RESNET, "conv3"),
    "resnet101": _application("ResNet101", None, _RESNET, "conv3"),
    "resnet152": _application("ResNet152", None, _RESNET, "conv3"),
    "resnet50_v2": _application("ResNet50V2", None, _RESNET, "conv3", **_TF),
    "resnet101_v2": _application("ResNet101V2", None, _RESNET, "conv3", **_TF),
    "resnet152_v2": _application("ResNet152V2", None, _RESNET, "conv3", **_TF),
    # Huang et al. 2017.
    "densenet121": _application("DenseNet121", None, _DENSENET, "conv3", **_TORCH),
    "densenet169": _application("DenseNet169", None, _DENSENET, "conv3", **_TORCH),
    "densenet201": _application("DenseNet201", None, _DENSENET, "conv3", **_TORCH),
    # Howard et al. 2017 and 2019, Sandler et al. 2018.
    "mobilenet": _application("MobileNet", None, _MOBILENET, "stage3", **_TF),
    "mobilenet_v2": _application("MobileNetV2", "Conv_1", _MOBILENET_V2, "stage3", **_TF),
    "mobilenet_v3_small": _application(
        "MobileNetV3Small", "conv_1", _MOBILENET_V3_SMALL, "stage3", **_TF
    ),
    "mobilenet_v3_large": _application(
        "MobileNetV3Large", "conv_1", _MOBILENET_V3_LARGE, "stage3", **_TF
    ),
    # Tan and Le 2019 and 2021.
    **{
        f"efficientnet_b{i}": _application(
            f"EfficientNetB{i}", "top_conv", _EFFICIENTNET, "block3", **_TORCH
        )
        for i in range(8)
    },
    **{
        f"efficientnet_v2_b{i}": _application(
            f"EfficientNetV2B{i}", "top_conv", _EFFICIENTNET_6, "block3", **_TORCH
        )
        for i in range(4)
    },
    "efficientnet_v2_s": _application(
        "EfficientNetV2S", "top_conv", _EFFICIENTNET_6, "block3", **_V2
    ),
    "efficientnet_v2_m": _application(
        "EfficientNetV2M", "top_conv", _EFFICIENTNET, "block3", **_V2
    ),
    "efficientnet_v2_l": _application(
        "EfficientNetV2L", "top_conv", _EFFICIENTNET, "block3", **_V2
    ),
    # Liu et al. 2022. The last layer, which has no name of its own, normalises for the classifier.
    **{
        f"convnext_{size.lower()}": _application(
            f"ConvNeXt{size}", -1, _CONVNEXT, "stage_1", **_TORCH
        )
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
}
# Feature pyramids (Lin et al. 2017) over the last maps of strides 4, 8, 16 and 32.
TRUNKS |= {
    "resnet50_fpn": _application_pyramid(
        TRUNKS["resnet50"],
        *("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
    ),
    "resnet101_fpn": _application_pyramid(
        TRUNKS["resnet101"],
        *("conv2_block3_out", "conv3_block4_out", "conv4_block23_out", "conv5_block3_out"),
    ),
    "vgg16_fpn": _application_pyramid(
        TRUNKS["vgg16"], "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"
    ),
    "efficientnet_lite1_fpn": _pyramid(TRUNKS["efficientnet_lite1"], _efficientnet_lite1_taps),
}
