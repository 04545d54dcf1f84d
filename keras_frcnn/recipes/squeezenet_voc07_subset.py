"""SqueezeNet from ImageNet weights on 1000 photographs of Pascal VOC 2007.

    keras-frcnn train --recipe squeezenet-voc07-subset --out runs/subset
    keras-frcnn evaluate runs/subset

Data and weights are looked for in `../shared/data`; `--data` and `--weights` name others.

Result: 0.403 mAP (11 points) on 500 other photographs, from docs/results.md.

Time: 5000 mini-batches in 15 minutes on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="squeezenet-voc07-subset",
        data="../shared/data/voc2007_subset",
        split="trainval",
        class_names=(),
        trunk="squeezenet",
        weights="../shared/data/weights/squeezenet1.1_imagenet_notop.h5",
        # fc6 and fc7 are random; with dropout the loss stood still for the first 400 steps.
        dropout=0.0,
        min_side=(480,),
        max_side=800,
        group_by_aspect=True,
        steps=5000,
        rate=0.001,
        warmup=300,
        decay_at=(4000,),
    ),
    test_data="../shared/data/voc2007_subset",
    test_split="test",
    metric="11point",
)
