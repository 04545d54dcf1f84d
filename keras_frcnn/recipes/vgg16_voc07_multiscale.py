"""VGG16 on Pascal VOC 2007 at the paper's five scales (sections 3 and 5.2).

    keras-frcnn train --recipe vgg16-voc07-multiscale --out runs/voc07-multiscale
    keras-frcnn evaluate runs/voc07-multiscale

Every image is scaled to one of five sizes, drawn anew each time. Detection uses the middle one.

Result: the paper has none for VGG16, whose large scales did not fit its GPU. Its smaller networks
gain 1.3 and 1.5 points over one scale, tested at all five (table 7). Not run by this project,
which takes the archives, Keras's ImageNet weights and a GPU.

Time: the drawn images have 1.8 times as many pixels on average as those of `vgg16-voc07`, and the
largest four times as many, which is what the convolutions take longer and take more memory by.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07

RECIPE = replace(
    vgg16_voc07.RECIPE,
    settings=replace(
        vgg16_voc07.RECIPE.settings,
        recipe="vgg16-voc07-multiscale",
        min_side=(480, 576, 688, 864, 1200),
        max_side=2000,
    ),
)
