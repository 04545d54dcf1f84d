"""Faster R-CNN with SqueezeNet on 1000 photographs of Pascal VOC 2007, trained jointly.

    keras-frcnn train --recipe squeezenet-voc07-subset-faster --out runs/subset-faster
    keras-frcnn evaluate runs/subset-faster

Photographs and weights are those of squeezenet-voc07-subset, and so is all of the training but for
the proposals.

Result: 0.362 mAP (11 points) on 500 other photographs, where selective search's proposals give
0.403; docs/results.md has what it lacks.

Time: 5000 mini-batches in 51 minutes beside other programs on two cores that multiply bfloat16, 17
minutes at its pace alone.
"""

from dataclasses import replace

from keras_frcnn.recipes import squeezenet_voc07_subset

RECIPE = replace(
    squeezenet_voc07_subset.RECIPE,
    settings=replace(
        squeezenet_voc07_subset.RECIPE.settings,
        recipe="squeezenet-voc07-subset-faster",
        detector="faster_rcnn",
        rois_per_image=128,
        bg_iou_low=0.0,
        # The paper's 8, 16, 32 at its 600 pixels, to these 480.
        anchor_scales=(6.4, 12.8, 25.6),
    ),
)
