"""Faster R-CNN with SqueezeNet on 1000 photographs of Pascal VOC 2007, in the paper's four steps.

    keras-frcnn train --recipe squeezenet-voc07-subset-faster-alternating --out runs/subset-four
    keras-frcnn evaluate runs/subset-four

Photographs and weights are those of squeezenet-voc07-subset.

Result: 0.355 mAP (11 points) on 500 other photographs, from docs/results.md.

Time: 12,000 mini-batches in 33 minutes beside other programs on two cores that multiply bfloat16.
"""

from dataclasses import replace

from keras_frcnn.recipes import squeezenet_voc07_subset_faster

RECIPE = replace(
    squeezenet_voc07_subset_faster.RECIPE,
    settings=replace(
        squeezenet_voc07_subset_faster.RECIPE.settings,
        recipe="squeezenet-voc07-subset-faster-alternating",
        alternating=True,
        rois_per_image=64,
        bg_iou_low=0.0,
        # The paper's 8, 16, 32 at its 600 pixels, to these 480.
        anchor_scales=(6.4, 12.8, 25.6),
        rpn_images_per_batch=2,
        rpn_steps=2500,
        rpn_decay_at=(2000,),
        steps=3500,
        decay_at=(2800,),
    ),
)
