"""Faster R-CNN (Ren et al. 2015) and its region proposal network as functional Keras models.

Shape letters: N images of H x W scaled pixels, S anchors sampled from an image, M ground-truth
boxes, P proposals, R RoIs, K object classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from keras_frcnn.models.building import (
    Graph,
    checked_trunk,
    description,
    features_of,
    load_and_freeze,
    model_name,
    regions_of,
)
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.fast_rcnn import USUAL_TARGETS, checked_targets
from keras_frcnn.models.fpn import coarser
from keras_frcnn.models.heads import box_head
from keras_frcnn.models.joint_sampling import CarryTargets, SampleRoIs
from keras_frcnn.models.rpn import ProposalOptions, TakeAnchors, rpn_head
from keras_frcnn.models.rpn_levels import TakeLevelAnchors, options_for, proposing
from keras_frcnn.models.trunks import Trunk


def RegionProposalNetwork(
    class_names: Sequence[str],
    trunk: str | Trunk = "vgg16",
    weights: str | None = "imagenet",
    options: ProposalOptions | None = None,
    finetune_from: str | None = None,
    min_side: int | Sequence[int] = 600,
    max_side: int = 1000,
    rescale: bool | None = None,
) -> DetectionModel:
    """Build a region proposal network alone, as the first and third of the four steps train it.

    Args:
        class_names: of the data set; it tells objects from background only, and keeps the names for
            what is built on it.
        options: the anchors, and how proposals are made in detection.
        trunk, weights, finetune_from, min_side, max_side, rescale: as for `FastRCNN`;
            `finetune_from="rpn"` trains no layer of the trunk.

    Returns:
        A model from `{"images": [N, H, W, 3], "anchors": [N, S, 3]}`, rows (y, x, a) of the sampled
        anchors, of a pyramid [N, S, 4], rows (level, y, x, a), to
        `{"rpn_cls_score": [N, S, 2] logits, "rpn_bbox_pred": [N, S, 1, 4] deltas}`, both float32.

    Raises:
        InputError: as `FastRCNN`.
    """
    spec = checked_trunk(trunk)
    options = options_for(options, spec)
    images = keras.Input((None, None, 3), name="images")
    anchors = _anchors_input(options)
    features = features_of(images, spec, weights is None if rescale is None else rescale)
    scores, deltas = _proposal_maps(features, spec, options)
    rpn_cls_score, rpn_bbox_pred = _taken(scores, deltas, anchors)
    model = DetectionModel(
        {"images": images, "anchors": anchors},
        {"rpn_cls_score": rpn_cls_score, "rpn_bbox_pred": rpn_bbox_pred},
        name=model_name(trunk, "rpn"),
        detector="rpn",
        options=options,
        **description(class_names, trunk, min_side, max_side),
    )
    load_and_freeze(model, spec, weights, finetune_from, "rpn")
    return model


def FasterRCNN(
    class_names: Sequence[str],
    trunk: str | Trunk = "vgg16",
    weights: str | None = "imagenet",
    options: ProposalOptions | None = None,
    rois_per_image: int = 128,
    bg_iou_low: float = 0.0,
    targets: tuple | None = None,
    fc_units: tuple[int, int] | None = None,
    dropout: float = 0.5,
    finetune_from: str | None = None,
    min_side: int | Sequence[int] = 600,
    max_side: int = 1000,
    rescale: bool | None = None,
    region_op: str | None = None,
) -> DetectionModel:
    """Build the detector with the graph of its joint training (section 3.2, "approximate").

    The proposals of the region proposal network, and the RoIs drawn from them, are computed inside
    the model. No gradient passes through their coordinates or their choice: the losses of the RoIs
    reach fc6, fc7, the heads and, through RoI pooling, the trunk; those of the anchors the region
    proposal network and the trunk.

    Args:
        options: the anchors, and how proposals are made.
        rois_per_image: R, sampled from the proposals and the objects.
        bg_iou_low: RoIs of a lower IoU with every object are not even background.
        targets: mean and deviation of the regression targets; by default `USUAL_TARGETS`, which the
            authors' joint training has too, as the proposals change all the time.
        class_names, trunk, weights, fc_units, dropout, finetune_from, min_side, max_side,
            rescale, region_op: as for `FastRCNN`.

    Returns:
        A model from
            images [N, H, W, 3], padded right and below to one size,
            image_sizes int32 [N, 2], (height, width) without the padding,
            box_scales [N, 2], (x, y): scaled pixels in one of the original image,
            anchors int32 [N, S, 3], rows (y, x, a) of the sampled anchors, of a pyramid
                [N, S, 4], rows (level, y, x, a),
            gt_boxes [N, M, 4] in scaled pixels, rows of zeros are padding,
            gt_classes int32 [N, M], 1..K,
            seed int32 [N, 2], of the drawing of RoIs,
        to
            rpn_cls_score [N, S, 2], rpn_bbox_pred [N, S, 1, 4],
            cls_score [N, R, 1 + K + 1], rows (label, logits),
            bbox_pred [N, R, 5 + 4 K], rows (label, target, deltas).
        `ProposingDetector` detects with it.

    Raises:
        InputError: as `FastRCNN`.
    """
    graph = faster_rcnn_graph(
        *(class_names, trunk, weights, options, rois_per_image, bg_iou_low, targets),
        *(fc_units, dropout, min_side, max_side, rescale, region_op),
    ).graph
    model = graph.model(trunk, "faster_rcnn")
    load_and_freeze(model, graph.trunk, weights, finetune_from, "faster_rcnn")
    return model


class JointGraph(NamedTuple):
    """A `Graph` and what the model has drawn to train on."""

    graph: Graph
    rois: keras.KerasTensor  # [N, R, 4]
    labels: keras.KerasTensor  # int32 [N, R]


def faster_rcnn_graph(
    class_names: Sequence[str],
    trunk: str | Trunk,
    weights: str | None,
    options: ProposalOptions | None,
    rois_per_image: int,
    bg_iou_low: float,
    targets: tuple | None,
    fc_units: tuple[int, int] | None,
    dropout: float,
    min_side: int | Sequence[int],
    max_side: int,
    rescale: bool | None,
    region_op: str | None,
) -> JointGraph:
    """The graph of the detector, to which others add; the arguments are those of `FasterRCNN`."""
    spec = checked_trunk(trunk)
    options = options_for(options, spec)
    about = description(class_names, trunk, min_side, max_side)
    classes = len(about["class_names"])
    mean, std = checked_targets(USUAL_TARGETS if targets is None else targets, classes)
    inputs = {
        "images": keras.Input((None, None, 3), name="images"),
        "image_sizes": keras.Input((2,), name="image_sizes", dtype="int32"),
        "box_scales": keras.Input((2,), name="box_scales", dtype="float32"),
        "anchors": _anchors_input(options),
        "gt_boxes": keras.Input((None, 4), name="gt_boxes", dtype="float32"),
        "gt_classes": keras.Input((None,), name="gt_classes", dtype="int32"),
        "seed": keras.Input((2,), name="seed", dtype="int32"),
    }
    rescale = weights is None if rescale is None else rescale
    features = features_of(inputs["images"], spec, rescale)
    scores, deltas = _proposal_maps(features, spec, options)
    rpn_cls_score, rpn_bbox_pred = _taken(scores, deltas, inputs["anchors"])
    propose = proposing(options, options.pre_nms_train, options.train)
    proposals, _ = propose(scores, deltas, inputs["image_sizes"], inputs["box_scales"])
    rois, labels, roi_targets = SampleRoIs(rois_per_image, bg_iou_low, name="sample_rois")(
        proposals, inputs["gt_boxes"], inputs["gt_classes"], inputs["seed"]
    )
    x = regions_of(features, rois, spec, region_op)
    cls_score, bbox_pred = box_head(x, classes, fc_units or spec.fc_units, dropout, mean, std)
    cls_score, bbox_pred = CarryTargets(name="carry_targets")(
        cls_score, bbox_pred, labels, roi_targets
    )
    outputs = {
        "rpn_cls_score": rpn_cls_score,
        "rpn_bbox_pred": rpn_bbox_pred,
        "cls_score": cls_score,
        "bbox_pred": bbox_pred,
    }
    about |= {"target_mean": mean, "target_std": std, "options": options}
    return JointGraph(Graph(spec, features, inputs, outputs, about), rois, labels)


def _anchors_input(options: ProposalOptions):
    return keras.Input((None, 4 if options.strides else 3), name="anchors", dtype="int32")


def _proposal_maps(features, trunk: Trunk, options: ProposalOptions):
    """What the network says of all anchors; of a pyramid lists, with a coarser level at the end."""
    maps = [*features, coarser(features[-1])] if trunk.levels else features
    return rpn_head(maps, trunk.rpn_channels, len(options.base()))


def _taken(scores, deltas, anchors):
    """What it says of the sampled ones."""
    kind = TakeLevelAnchors if isinstance(scores, list) else TakeAnchors
    return kind(name="take_anchors")(scores, deltas, anchors)
