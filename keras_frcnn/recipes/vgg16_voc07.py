"""VGG16 on Pascal VOC 2007, the paper's main setting (sections 2.3 and 4).

    keras-frcnn train --recipe vgg16-voc07 --out runs/voc07
    keras-frcnn evaluate runs/voc07

Result: the paper has 66.9 mAP on VOC 2007 test (table 1). Not run by this project, which takes
the archives, Keras's ImageNet weights and a GPU.

Time: 40,000 mini-batches, 9.5 hours on the paper's K40 (table 4); about 20 hours on two cores
that multiply bfloat16, by the 1.8 s of a step in docs/training.md.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="vgg16-voc07",
        data="voc/2007",
        split="trainval",
        class_names=(),
        trunk="vgg16",
        weights="imagenet",
        dropout=0.5,
        min_side=(600,),
        max_side=1000,
        images_per_batch=2,
        rois_per_image=64,
        group_by_aspect=True,
        steps=40_000,
        rate=0.001,
        decay_at=(30_000,),
        momentum=0.9,
        l2=0.0005,
    ),
    test_data="voc/2007",
    test_split="test",
    metric="11point",
)
