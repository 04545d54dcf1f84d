"""VGG16 for the VOC 2012 test server, the paper's 07++12 (sections 4.2 and 5.3).

    keras-frcnn train --recipe vgg16-voc07++12 --out runs/voc07++12
    keras-frcnn evaluate runs/voc07++12 --voc-results results

Trains on all annotated images of VOC 2007, test included, and on VOC 2012 trainval. The
annotations of VOC 2012 test are not public: the second command writes the result files that the
evaluation server takes, and knows no AP itself.

Result: the paper has 68.4 mAP on VOC 2012 test (table 3) and 68.8 on VOC 2010 test (table 2). Not
run by this project, which takes the archives, Keras's ImageNet weights and a GPU.

Time: 100,000 mini-batches, two and a half times those of `vgg16-voc07`: a day on the paper's K40,
about 50 hours on two cores that multiply bfloat16.
"""

from dataclasses import replace

from keras_frcnn.recipes import vgg16_voc07

RECIPE = replace(
    vgg16_voc07.RECIPE,
    settings=replace(
        vgg16_voc07.RECIPE.settings,
        recipe="vgg16-voc07++12",
        data="voc/2007:trainval+voc/2007:test+voc/2012:trainval",
        split="",
        steps=100_000,
        decay_at=(40_000, 80_000),
    ),
    test_data="voc/2012",
    test_split="test",
    metric="area",
)
