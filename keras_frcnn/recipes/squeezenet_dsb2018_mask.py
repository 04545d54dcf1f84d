"""Mask R-CNN with SqueezeNet on nuclei under the microscope, 273 images with 8645 objects.

    keras-frcnn train --recipe squeezenet-dsb2018-mask --out runs/nuclei
    keras-frcnn evaluate runs/nuclei --nms-iou 0.5

The folder `dsb2018` holds the images of the Data Science Bowl 2018, stage 1, with the corrected
masks of lopuhin's collection as COCO's JSON (CC0). A nucleus has 23 pixels a side and the features
a stride of 16: the images are enlarged three times. The weight file is that of
squeezenet-voc07-subset.

Result: mask AP 0.467 (AP50 0.818, AP75 0.467) on 59 other images; the same detections' boxes as
masks 0.280; box AP 0.473; one seed and mini-batches of both orientations, from docs/results.md.

Time: 1500 mini-batches in 15 minutes beside other programs on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="squeezenet-dsb2018-mask",
        data="dsb2018",
        split="train",
        class_names=(),
        detector="mask_rcnn",
        trunk="squeezenet",
        weights="squeezenet1.1_imagenet_notop.h5",
        dropout=0.0,
        min_side=(768,),
        max_side=1024,
        group_by_aspect=True,
        rois_per_image=64,
        anchor_scales=(2, 3, 5, 8),
        proposal_min_size=4,
        proposals_test=1000,
        max_detections=400,
        steps=1500,
        rate=0.001,
        warmup=200,
        decay_at=(1200,),
    ),
    test_data="dsb2018",
    test_split="test",
    metric="area",
)
