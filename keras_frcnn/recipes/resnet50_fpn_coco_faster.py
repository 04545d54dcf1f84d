"""Faster R-CNN with ResNet-50 and a feature pyramid on COCO 2017, twelve epochs ("1x").

    keras-frcnn train --recipe resnet50-fpn-coco-faster --out runs/coco-faster
    keras-frcnn evaluate runs/coco-faster --nms-iou 0.5

All is as in resnet50-fpn-coco-mask, without the masks.

Result: about one box AP below it, 36.7 to 37.9 on val2017 by the published models of
Detectron and detectron2. Not run by this project, which takes the photographs, the weights and
GPUs.

Time: not known.
"""

from dataclasses import replace

from keras_frcnn.recipes import resnet50_fpn_coco_mask

RECIPE = replace(
    resnet50_fpn_coco_mask.RECIPE,
    settings=replace(
        resnet50_fpn_coco_mask.RECIPE.settings,
        recipe="resnet50-fpn-coco-faster",
        detector="faster_rcnn",
    ),
)
