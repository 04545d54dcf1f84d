"""Mask R-CNN with SqueezeNet on 109 photographs of four kinds of boards, large objects.

    keras-frcnn train --recipe squeezenet-boards-mask --out runs/boards
    keras-frcnn evaluate runs/boards

The folder `microcontroller` holds the photographs and COCO's JSON of TannerGilbert's collection;
the weight file is that of squeezenet-voc07-subset.

Result: mask AP 0.626 (AP50 0.905, AP75 0.761) on 40 other photographs; the same detections' boxes
as masks 0.187; box AP 0.578; one seed, from docs/results.md.

Time: 1500 mini-batches in 10 minutes beside other programs on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="squeezenet-boards-mask",
        data="microcontroller",
        split="train",
        class_names=(),
        detector="mask_rcnn",
        trunk="squeezenet",
        weights="squeezenet1.1_imagenet_notop.h5",
        dropout=0.0,
        min_side=(400,),
        max_side=600,
        group_by_aspect=True,
        rois_per_image=32,
        anchor_scales=(5, 9),
        steps=1500,
        rate=0.001,
        warmup=200,
        decay_at=(1200,),
    ),
    test_data="microcontroller",
    test_split="val",
    metric="area",
)
