"""Faster R-CNN with VGG16 from random weights on BCCD, 364 photographs of blood cells.

    keras-frcnn train --recipe vgg16-bccd-faster --out runs/bccd-faster
    keras-frcnn evaluate runs/bccd-faster

The data set is that of vgg16-bccd, and so is all of the training but for the proposals.

Result: 0.730 mAP (WBC 0.98, RBC 0.83, Platelets 0.38), where vgg16-bccd has 0.684; one seed, from
docs/results.md.

Time: 3000 mini-batches in 70 minutes beside other programs on two cores that multiply bfloat16.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_bccd

RECIPE = replace(
    vgg16_bccd.RECIPE,
    settings=replace(
        vgg16_bccd.RECIPE.settings,
        recipe="vgg16-bccd-faster",
        detector="faster_rcnn",
        rois_per_image=128,
        bg_iou_low=0.0,
        # From platelets to white cells, at 320 pixels.
        anchor_scales=(2, 4, 8),
        proposal_min_size=1,
    ),
)
