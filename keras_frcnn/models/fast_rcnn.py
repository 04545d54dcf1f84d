"""Fast R-CNN as one functional Keras model (paper figure 1).

Shape letters: N images of H x W pixels, R RoIs an image, K object classes.
"""

import keras
from keras import layers

from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import REGION_LAYER, box_head
from keras_frcnn.models.layers import NormalizedRGB, RoIPool
from keras_frcnn.models.trunks import TRUNKS, Trunk, is_one_of
from keras_frcnn.models.weights import load_pretrained

PIXEL_STD = 58.0  # grey levels, over the photographs of ImageNet


def model_name(trunk: str | Trunk) -> str:
    """The name of the Keras model with this trunk."""
    return f"fast_rcnn_{trunk}" if isinstance(trunk, str) else "fast_rcnn"


def fast_rcnn(
    num_classes: int,
    trunk: str | Trunk = "vgg16",
    weights: str | None = None,
    fc_units: tuple[int, int] | None = None,
    bbox_mean=None,
    bbox_std=None,
    dropout: float = 0.5,
    finetune_from: str | None = None,
    rescale: bool | None = None,
) -> keras.Model:
    """Build the detector.

    Args:
        num_classes: K, without the background.
        trunk: a name in `keras_frcnn.models.trunks.TRUNKS`, or a `Trunk` around any Keras feature
            extractor.
        weights: None for random weights, "imagenet" (a trunk of Keras's, which downloads them), or
            the path of an HDF5 weight file. With pretrained weights the lowest layers are frozen
            (paper section 4.5); batch normalisation is frozen in any case.
        fc_units: units of fc6 and fc7; the trunk's own by default.
        bbox_mean, bbox_std: mean and standard deviation of the regression targets of each
            class, [K, 4] (`batches.target_statistics`); 0 and 1 by default. The network predicts
            normalised targets (paper section 2.3) and its last layer inverts the normalisation,
            so that the model can be used without knowing them.
        dropout: rate after fc6 and fc7.
        finetune_from: the first part of the trunk to train, those before it are frozen
            (`Trunk.parts`); the trunk's own by default where weights are loaded.
        rescale: whether the network divides its input by `PIXEL_STD`; by default where its
            weights are random. Trunks that have a `pixel_std` divide by that in any case.

    Returns:
        A model from `{"images": [N, H, W, 3], "rois": [N, R, 4]}` (scaled images as
        `preprocessing.scale_image` makes them, RoIs in pixels of the scaled images) to
        `{"cls_score": [N, R, K + 1] logits, "bbox_pred": [N, R, K, 4] deltas}`, both float32.
        Class 0 is background.

    Raises:
        InputError: `trunk` is unknown or `weights` do not fit it.
    """
    if isinstance(trunk, str) and trunk not in TRUNKS:
        raise InputError(f"unknown trunk {trunk!r}: choose one of {', '.join(TRUNKS)}")
    spec = TRUNKS[trunk] if isinstance(trunk, str) else trunk
    images = keras.Input((None, None, 3), name="images")
    rois = keras.Input((None, 4), name="rois", dtype="float32")

    # Published weights expect their own pixels. Random ones need inputs of unit variance:
    # without it VGG16 diverged within five steps (docs/results.md).
    rescale = weights is None if rescale is None else rescale
    x = images
    if spec.pixel_std is not None:
        x = NormalizedRGB(spec.pixel_std, name="normalized_rgb")(images)
    elif rescale:
        x = layers.Rescaling(1 / PIXEL_STD, name="rescale")(images)
    features = spec.build(x)
    x = RoIPool(spec.pool_size, 1 / spec.stride, name=REGION_LAYER)(features, rois)
    cls_score, bbox_pred = box_head(
        x, num_classes, fc_units or spec.fc_units, dropout, bbox_mean, bbox_std
    )
    model = keras.Model(
        {"images": images, "rois": rois},
        {"cls_score": cls_score, "bbox_pred": bbox_pred},
        name=model_name(trunk),
    )
    if weights is not None:
        load_pretrained(model, spec, weights)
    frozen = spec.frozen(finetune_from) if weights or finetune_from else []
    for layer in model.layers:
        # Batch normalisation keeps its statistics: those of two images would be noise. A frozen
        # one computes as in inference.
        if isinstance(layer, layers.BatchNormalization) or is_one_of(layer.name, frozen):
            layer.trainable = False
    return model
