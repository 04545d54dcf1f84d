"""Faster R-CNN with VGG16 from random weights on BCCD, 364 photographs of blood cells.

    keras-frcnn train --recipe vgg16-bccd-faster --out runs/bccd-faster
    keras-frcnn evaluate runs/bccd-faster

The data set is that of vgg16-bccd, and so is all of the training but for the proposals.

Result: not run yet.

Time: 3000 mini-batches; not run yet, those of vgg16-bccd take 74 minutes on two cores that multiply
bfloat16.
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
