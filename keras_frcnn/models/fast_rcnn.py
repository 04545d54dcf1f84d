"""Fast R-CNN as one functional Keras model (paper figure 1).

Shape letters: N images of H x W pixels, R RoIs an image, K object classes.
"""

from collections.abc import Sequence

import keras
import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.models.building import (
    Graph,
    checked_trunk,
    description,
    features_of,
    load_and_freeze,
    regions_of,
)
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.heads import box_head
from keras_frcnn.models.trunks import Trunk

# Mean and deviation of (tx, ty, tw, th) where nobody has measured them: those of Girshick's later
# code. Measured ones differ by a few tens of percent; without any normalisation the box regression
# would hardly be trained.
USUAL_TARGETS = ((0.0, 0.0, 0.0, 0.0), (0.1, 0.1, 0.2, 0.2))


def FastRCNN(
    class_names: Sequence[str],
    trunk: str | Trunk = "vgg16",
    weights: str | None = "imagenet",
    targets: tuple | None = None,
    fc_units: tuple[int, int] | None = None,
    dropout: float = 0.5,
    finetune_from: str | None = None,
    min_side: int | Sequence[int] = 600,
    max_side: int = 1000,
    rescale: bool | None = None,
    region_op: str | None = None,
) -> DetectionModel:
    """Build the detector.

    Args:
        class_names: of classes 1..K, the background is not among them.
        trunk: a name in `keras_frcnn.models.trunks.TRUNKS`, or a `Trunk` around any Keras feature
            extractor.
        weights: "imagenet" (a trunk of Keras's, which downloads them), the path of a weight file,
            HDF5 or Caffe's (docs/trunks.md), or None for random weights. With pretrained weights
            the lowest layers are frozen (paper section 4.5); batch normalisation is frozen in any
            case.
        targets: mean and standard deviation of the regression targets of each class, [K, 4] each,
            as `target_statistics` gives them. The network predicts normalised targets (paper
            section 2.3) and its last layer inverts the normalisation, so that the model can be
            used without knowing them; the loss divides by the same deviations. By default
            `USUAL_TARGETS`, which suit most data sets.
        fc_units: units of fc6 and fc7; the trunk's own by default.
        dropout: rate after fc6 and fc7.
        finetune_from: the first part of the trunk to train, those before it are frozen
            (`Trunk.parts`); the trunk's own by default where weights are loaded.
        min_side, max_side: images are scaled until their shorter side is `min_side` pixels or the
            longer one `max_side`; with several values of `min_side` training draws one for each
            image and detection takes the middle one.
        rescale: whether the network divides its input by `PIXEL_STD`; by default where its
            weights are random. Trunks that have a `pixel_std` divide by that in any case.
        region_op: what reads the regions, "pool" for RoI max pooling, or "align" for RoIAlign
            (`building.regions_of`); by default the former, for pyramids the latter.

    Returns:
        A model from `{"images": [N, H, W, 3], "rois": [N, R, 4]}` (scaled images as
        `preprocessing.scale_image` makes them, RoIs in pixels of the scaled images) to
        `{"cls_score": [N, R, K + 1] logits, "bbox_pred": [N, R, K, 4] deltas}`, both float32.
        Class 0 is background.

    Raises:
        InputError: Keras is set to channels first; there are no class names or the same twice,
            `trunk` is unknown, or `weights` or `targets` do not fit.
    """
    graph = fast_rcnn_graph(
        *(class_names, trunk, weights, targets, fc_units, dropout),
        *(min_side, max_side, rescale, region_op),
    )
    model = graph.model(trunk, "fast_rcnn")
    load_and_freeze(model, graph.trunk, weights, finetune_from, "fast_rcnn")
    return model


def fast_rcnn_graph(
    class_names: Sequence[str],
    trunk: str | Trunk,
    weights: str | None,
    targets: tuple | None,
    fc_units: tuple[int, int] | None,
    dropout: float,
    min_side: int | Sequence[int],
    max_side: int,
    rescale: bool | None,
    region_op: str | None,
) -> Graph:
    """The graph of the detector, to which others add; the arguments are those of `FastRCNN`."""
    spec = checked_trunk(trunk)
    about = description(class_names, trunk, min_side, max_side)
    classes = len(about["class_names"])
    mean, std = checked_targets(USUAL_TARGETS if targets is None else targets, classes)
    images = keras.Input((None, None, 3), name="images")
    rois = keras.Input((None, 4), name="rois", dtype="float32")
    features = features_of(images, spec, weights is None if rescale is None else rescale)
    x = regions_of(features, rois, spec, region_op)
    cls_score, bbox_pred = box_head(x, classes, fc_units or spec.fc_units, dropout, mean, std)
    return Graph(
        spec,
        features,
        {"images": images, "rois": rois},
        {"cls_score": cls_score, "bbox_pred": bbox_pred},
        about | {"target_mean": mean, "target_std": std},
    )


def checked_targets(targets, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the regression targets as float32 [K, 4], if they are possible."""
    try:
        mean, std = (
            np.broadcast_to(np.asarray(values, np.float32), (num_classes, 4)) for values in targets
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"targets: must be mean and deviation, [{num_classes}, 4] each, as target_statistics "
            f"gives them ({error})"
        ) from error
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise InputError("targets: mean and deviation must be finite, the deviation above 0")
    return mean, std
