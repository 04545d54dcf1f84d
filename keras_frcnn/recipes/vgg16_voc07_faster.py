"""Faster R-CNN with VGG16 on Pascal VOC 2007, in the paper's four steps.

    keras-frcnn train --recipe vgg16-voc07-faster --out runs/voc07-faster
    keras-frcnn evaluate runs/voc07-faster

Result: the paper has 69.9 mAP on VOC 2007 test (Ren et al. 2015, table 3), other reproductions 68.9
to 69.6. Not run by this project, which takes the archives, Keras's ImageNet weights and a GPU.

Time: 80,000 + 40,000 + 80,000 + 40,000 mini-batches, two days on the authors' K40.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07

RECIPE = replace(
    vgg16_voc07.RECIPE,
    settings=replace(
        vgg16_voc07.RECIPE.settings,
        recipe="vgg16-voc07-faster",
        detector="faster_rcnn",
        alternating=True,
        rois_per_image=64,
        bg_iou_low=0.0,
        anchor_scales=(8, 16, 32),
        anchor_ratios=(0.5, 1, 2),
        rpn_images_per_batch=1,
        rpn_steps=80_000,
        rpn_decay_at=(60_000,),
        steps=40_000,
        decay_at=(30_000,),
    ),
)
