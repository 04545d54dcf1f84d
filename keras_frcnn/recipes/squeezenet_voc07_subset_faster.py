"""Faster R-CNN with SqueezeNet on 1000 photographs of Pascal VOC 2007, trained jointly.

    keras-frcnn train --recipe squeezenet-voc07-subset-faster --out runs/subset-faster
    keras-frcnn evaluate runs/subset-faster

Photographs and weights are those of squeezenet-voc07-subset.

Result: 0.414 mAP (11 points) on 500 other photographs, where selective search's proposals give
0.403, and 0.401 with another seed; from docs/results.md.

Time: 6000 mini-batches in 34 minutes beside other programs on two cores that multiply bfloat16.
"""

from dataclasses import replace

from keras_frcnn.recipes import squeezenet_voc07_subset

RECIPE = replace(
    squeezenet_voc07_subset.RECIPE,
    settings=replace(
        squeezenet_voc07_subset.RECIPE.settings,
        recipe="squeezenet-voc07-subset-faster",
        detector="faster_rcnn",
        # With 128 RoIs and background from IoU 0 on, the defaults of joint training, 5000 steps and
        # the paper's anchors, 6.4, 12.8 and 25.6 at 480 pixels, the mAP was 0.362.
        rois_per_image=64,
        bg_iou_low=0.1,
        anchor_scales=(4, 8, 16, 24),
        steps=6000,
        decay_at=(4800,),
    ),
)
