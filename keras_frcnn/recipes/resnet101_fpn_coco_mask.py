"""Mask R-CNN with ResNet-101 and a feature pyramid on COCO 2017, the paper's main network.

    keras-frcnn train --recipe resnet101-fpn-coco-mask --out runs/coco-mask-101
    keras-frcnn evaluate runs/coco-mask-101 --nms-iou 0.5

All but the trunk is as in resnet50-fpn-coco-mask.

Result: box AP 38.2 and mask AP 35.7 on test-dev in the paper, 40.0 and 35.9 on val2017 by
Detectron, 40.7 and 36.8 by tensorpack. Not run by this project, which takes the photographs, the
weights and GPUs.

Time: not known.
"""

from dataclasses import replace

from keras_frcnn.recipes import resnet50_fpn_coco_mask

RECIPE = replace(
    resnet50_fpn_coco_mask.RECIPE,
    settings=replace(
        resnet50_fpn_coco_mask.RECIPE.settings,
        recipe="resnet101-fpn-coco-mask",
        trunk="resnet101_fpn",
    ),
)
