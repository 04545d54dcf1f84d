"""Faster R-CNN with VGG16 on Pascal VOC 2007, trained jointly.

    keras-frcnn train --recipe vgg16-voc07-faster-joint --out runs/voc07-joint
    keras-frcnn evaluate runs/voc07-joint

Result: 69.1 to 70.6 mAP on VOC 2007 test in the reproductions by others, 69.9 in the paper, whose
training is in four steps. Not run by this project, which takes the archives, Keras's ImageNet
weights and a GPU.

Time: 70,000 mini-batches, by the authors a good half of the four steps' time.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07_faster

RECIPE = replace(
    vgg16_voc07_faster.RECIPE,
    settings=replace(
        vgg16_voc07_faster.RECIPE.settings,
        recipe="vgg16-voc07-faster-joint",
        alternating=False,
        rois_per_image=128,
        steps=70_000,
        decay_at=(50_000,),
    ),
)
