"""Mask R-CNN (He et al. 2017): Fast and Faster R-CNN with a branch that predicts masks.

Shape letters: N images of H x W scaled pixels, P proposals, R RoIs of which the mask branch sees
the first D, G ground-truth boxes, K object classes, M x M cells of a mask, F x F of a bitmap in the
frame of its box.
"""

from collections.abc import Sequence

import keras

from keras_frcnn.models.building import Graph, load_and_freeze
from keras_frcnn.models.detection_model import DetectionModel
from keras_frcnn.models.fast_rcnn import fast_rcnn_graph
from keras_frcnn.models.faster_rcnn import faster_rcnn_graph
from keras_frcnn.models.mask_head import MASK_SIZE, mask_head
from keras_frcnn.models.mask_targets import FRAMED_SIZE, CarryMaskTargets, CutMaskTargets
from keras_frcnn.models.rpn import ProposalOptions
from keras_frcnn.models.trunks import Trunk
from keras_frcnn.sampling import foreground_rois


def MaskFastRCNN(
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
    region_op: str = "align",
) -> DetectionModel:
    """Build the detector on proposals from outside.

    The arguments are those of `FastRCNN`.

    Returns:
        A model from `{"images": [N, H, W, 3], "rois": [N, R, 4], "mask_rois": [N, D, 4],
        "mask_classes": int32 [N, D]}` to `{"cls_score": [N, R, K + 1], "bbox_pred": [N, R, K, 4],
        "mask_logits": [N, D, M, M]}`, all float32. In training the mask branch sees the foreground
        RoIs and their true classes, in detection the boxes that were found and theirs; class 0 is
        padding. `MaskDetector` detects with it.

    Raises:
        InputError: as `FastRCNN`.
    """
    graph = fast_rcnn_graph(
        *(class_names, trunk, weights, targets, fc_units, dropout),
        *(min_side, max_side, rescale, region_op),
    )
    inputs = {
        "mask_rois": keras.Input((None, 4), name="mask_rois", dtype="float32"),
        "mask_classes": keras.Input((None,), name="mask_classes", dtype="int32"),
    }
    logits = _masks(graph, inputs["mask_rois"], inputs["mask_classes"])
    graph.inputs.update(inputs)
    graph.outputs["mask_logits"] = logits
    model = graph.model(trunk, "mask_fast_rcnn")
    load_and_freeze(model, graph.trunk, weights, finetune_from, "mask_fast_rcnn")
    return model


def MaskRCNN(
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
    region_op: str = "align",
) -> DetectionModel:
    """Build the detector with the graph of its joint training.

    The arguments are those of `FasterRCNN`.

    Returns:
        A model with the inputs of `FasterRCNN` and
            gt_masks uint8 [N, G, F, F], each object's bitmap in the frame of its box;
        and with its outputs and
            mask_logits [N, D, M, M, 2], (target, logit) of the foreground RoIs' true classes.
        `ProposingMaskDetector` detects with it.

    Raises:
        InputError: as `FastRCNN`.
    """
    graph, rois, labels = faster_rcnn_graph(
        *(class_names, trunk, weights, options, rois_per_image, bg_iou_low, targets),
        *(fc_units, dropout, min_side, max_side, rescale, region_op),
    )
    size = (None, FRAMED_SIZE, FRAMED_SIZE)
    graph.inputs["gt_masks"] = keras.Input(size, name="gt_masks", dtype="uint8")
    cut = CutMaskTargets(foreground_rois(rois_per_image), MASK_SIZE, name="cut_mask_targets")
    mask_rois, mask_classes, targets = cut(
        rois, labels, graph.inputs["gt_boxes"], graph.inputs["gt_masks"]
    )
    logits = _masks(graph, mask_rois, mask_classes)
    graph.outputs["mask_logits"] = CarryMaskTargets(name="carry_mask_targets")(logits, targets)
    model = graph.model(trunk, "mask_rcnn")
    load_and_freeze(model, graph.trunk, weights, finetune_from, "mask_rcnn")
    return model


def _masks(graph: Graph, rois, classes):
    return mask_head(
        graph.features,
        rois,
        classes,
        graph.trunk.strides,
        len(graph.about["class_names"]),
        graph.trunk.mask_channels,
    )
