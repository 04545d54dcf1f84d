"""The heads that read a pooled region (paper figure 1), and the one place that names their layers.

Weights, fine-tuning, gradient norms, export and SVD ask here which layer belongs to which part.

Shape letters: N images, R RoIs an image, K object classes.
"""

# What this project builds on a trunk. `mask_fast_rcnn` is Mask R-CNN on proposals from outside.
DETECTORS = ("fast_rcnn", "faster_rcnn", "mask_fast_rcnn", "mask_rcnn", "rpn")

REGION_LAYER = "roi_pool"  # reads the regions of the feature map, by one of
REGION_OPS = ("pool", "align")  # RoI max pooling, RoIAlign

# The hidden layers. Pretrained networks may have them; truncated SVD compresses them.
FULLY_CONNECTED = ("fc6", "fc7")
# The mask branch: what reads its regions, its hidden layers, and the one that knows the classes.
MASK_ALIGN = "mask_align"
MASK_REGIONS = "mask_regions"
MASK_CONVOLUTIONS = ("mask_conv1", "mask_conv2", "mask_conv3", "mask_conv4")
MASK_UPSAMPLING = "mask_upsampling"
MASK_PREDICTOR = "mask_logits"
MASK = (*MASK_CONVOLUTIONS, MASK_UPSAMPLING, MASK_PREDICTOR)
# The layers whose weights know the object classes.
PREDICTORS = ("cls_score", "bbox_deltas", MASK_PREDICTOR)
# The region proposal network: a hidden layer and its siblings (`keras_frcnn.models.rpn`).
RPN = ("rpn_conv", "rpn_cls_score", "rpn_bbox_deltas")
# They compute in float32 under any policy: they are small, and scores and offsets are what the
# user sees. Thousands of anchors' scores in bfloat16 would tie by the hundreds.
FLOAT32 = (
    *PREDICTORS,
    *("bbox_per_class", "bbox_pred"),
    *("rpn_cls_score", "rpn_scores", "rpn_bbox_deltas", "rpn_deltas"),
    *(f"rpn_{what}_p{level}" for what in ("scores", "deltas") for level in range(2, 7)),
)

_BOX_HEAD = {
    "fc6": ("fc6",),
    "fc7": ("fc7",),
    "cls_score": ("cls_score",),
    "bbox_pred": ("bbox_deltas",),
}


def parts(detector: str) -> dict[str, tuple[str, ...]]:
    """The parts after any trunk, as `finetune_from` names them, and their layers.

    The box regressor is the last that reads boxes, so that it can be trained alone (stage-wise
    training, Girshick 2015, section 5.1); the mask branch can be trained on a finished detector.

    Args:
        detector: of `DETECTORS`.
    """
    rpn = {"rpn": RPN} if makes_proposals(detector) else {}
    masks = {"mask": MASK} if has_masks(detector) else {}
    return rpn if detector == "rpn" else rpn | _BOX_HEAD | masks


def makes_proposals(detector: str) -> bool:
    """Whether one of `DETECTORS` makes its proposals itself, by a region proposal network."""
    return detector in ("faster_rcnn", "mask_rcnn", "rpn")


def has_masks(detector: str) -> bool:
    """Whether one of `DETECTORS` predicts masks."""
    return detector in ("mask_fast_rcnn", "mask_rcnn")


def part_of(layer: str) -> str:
    """What a layer belongs to: "fc", "fpn", "heads", "mask", "rpn" or "trunk"."""
    if layer in FULLY_CONNECTED:
        return "fc"
    if layer in MASK:
        return "mask"
    if layer.startswith("fpn_"):
        return "fpn"
    if layer in RPN:
        return "rpn"
    return "heads" if layer in PREDICTORS else "trunk"


def box_head(x, num_classes: int, fc_units: tuple[int, int], dropout: float, bbox_mean, bbox_std):
    """fc6 and fc7, then the sibling layers for scores and box offsets.

    Args:
        x: pooled regions, [N, R, height, width, C].
        num_classes: K.
        fc_units: units of fc6 and fc7.
        dropout: rate after both.
        bbox_mean, bbox_std: by which the last layer inverts the normalisation of the regression
            targets (paper section 2.3), [K, 4].

    Returns:
        cls_score [N, R, K + 1] logits and bbox_pred [N, R, K, 4] deltas.
    """
    # Not above: the names in this module are read by what needs no Keras.
    import keras
    import numpy as np
    from keras import layers

    # Flattened in row, column, channel order, as Keras's VGG16 does before its `fc1`.
    x = layers.Reshape((-1, int(np.prod(x.shape[2:]))), name="flatten")(x)
    for name, units in zip(FULLY_CONNECTED, fc_units, strict=True):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=name)(x)
        x = layers.Dropout(dropout, name=f"drop_{name}")(x)

    # float32 whatever Keras's `floatx`, unless that is more.
    dtype = "float64" if keras.config.floatx() == "float64" else "float32"
    cls_score = layers.Dense(
        num_classes + 1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype=dtype,
        name="cls_score",
    )(x)
    deltas = layers.Dense(
        num_classes * 4,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        dtype=dtype,
        name="bbox_deltas",
    )(x)
    deltas = layers.Reshape((-1, num_classes, 4), dtype=dtype, name="bbox_per_class")(deltas)
    bbox_pred = layers.Normalization(
        axis=(-2, -1),
        mean=bbox_mean,
        variance=np.square(bbox_std),
        invert=True,
        dtype=dtype,
        name="bbox_pred",
    )(deltas)
    return cls_score, bbox_pred
