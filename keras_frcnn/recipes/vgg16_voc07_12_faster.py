"""Faster R-CNN with VGG16 on Pascal VOC 2007 and 2012, in the paper's four steps.

    keras-frcnn train --recipe vgg16-voc07+12-faster --out runs/voc07+12-faster
    keras-frcnn evaluate runs/voc07+12-faster

Result: the paper has 73.2 mAP on VOC 2007 test (Ren et al. 2015, table 3). Not run by this project,
which takes the archives, Keras's ImageNet weights and a GPU.

Time: 80,000 + 60,000 + 80,000 + 60,000 mini-batches, the numbers of the authors' own code.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07_faster

RECIPE = replace(
    vgg16_voc07_faster.RECIPE,
    settings=replace(
        vgg16_voc07_faster.RECIPE.settings,
        recipe="vgg16-voc07+12-faster",
        data="voc/2007:trainval+voc/2012:trainval",
        split="",
        steps=60_000,
    ),
)
