"""VGG16 on Pascal VOC 2007 and 2012, the paper's 07+12 (section 5.3).

    keras-frcnn train --recipe vgg16-voc07+12 --out runs/voc07+12
    keras-frcnn evaluate runs/voc07+12

Result: the paper has 70.0 mAP on VOC 2007 test (table 1). Not run by this project, which takes
the archives, Keras's ImageNet weights and a GPU.

Time: 60,000 mini-batches, one and a half times those of `vgg16-voc07`: 14 hours on the paper's
K40, about 30 hours on two cores that multiply bfloat16.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07

RECIPE = replace(
    vgg16_voc07.RECIPE,
    settings=replace(
        vgg16_voc07.RECIPE.settings,
        recipe="vgg16-voc07+12",
        data="voc/2007:trainval+voc/2012:trainval",
        split="",
        # Section 5.3 gives only the number of steps. The rate drops after 30,000 as for VOC 2007,
        # which the same section calls the usual interval.
        steps=60_000,
    ),
)
