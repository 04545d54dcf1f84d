"""Mask R-CNN with ResNet-50 and a feature pyramid on COCO 2017, twelve epochs ("1x").

    keras-frcnn train --recipe resnet50-fpn-coco-mask --out runs/coco-mask
    keras-frcnn evaluate runs/coco-mask --nms-iou 0.5

The folder `coco` holds `annotations/instances_train2017.json` and `instances_val2017.json`, and the
photographs in `train2017` and `val2017`. The weights are Keras's of ImageNet. Sixteen images a step
want eight GPUs (`--devices all`); with fewer images the rate goes down and the steps go up in
proportion: `--images-per-batch 2 --rate 0.0025 --steps 720000 --decay-at 480000,640000`.

Result: box AP 37.7 to 38.6 and mask AP 33.9 to 35.2 on val2017 by the published models of
Detectron, tensorpack and detectron2, which train at one scale or several. Not run by this project,
which takes the photographs, the weights and GPUs.

Time: not known.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="resnet50-fpn-coco-mask",
        data="coco",
        split="train",
        class_names=(),
        detector="mask_rcnn",
        trunk="resnet50_fpn",
        weights="imagenet",
        dropout=0.0,
        min_side=(800,),
        max_side=1333,
        images_per_batch=16,
        group_by_aspect=True,
        rois_per_image=512,
        steps=90_000,
        rate=0.02,
        warmup=1000,
        decay_at=(60_000, 80_000),
        l2=0.0001,
    ),
    test_data="coco",
    test_split="val",
    metric="area",
)
