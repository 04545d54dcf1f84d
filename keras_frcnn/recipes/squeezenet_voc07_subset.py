"""SqueezeNet from ImageNet weights on 1000 photographs of Pascal VOC 2007.

    keras-frcnn train --recipe squeezenet-voc07-subset --out runs/subset
    keras-frcnn evaluate runs/subset

The photographs are those of VOC2007's test archive that docs/voc2007_subset lists, looked for in
the folder `voc2007_subset`: the extracted archive with these lists in its ImageSets/Main. The
weights are SqueezeNet 1.1's of ImageNet as HDF5 in Keras's layout, looked for in the current
folder. `--data` and `--weights` name other places.

Result: 0.403 mAP (11 points) on 500 other photographs, from docs/results.md.

Time: 5000 mini-batches in 15 minutes on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="squeezenet-voc07-subset",
        data="voc2007_subset",
        split="trainval",
        class_names=(),
        trunk="squeezenet",
        weights="squeezenet1.1_imagenet_notop.h5",
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
    test_data="voc2007_subset",
    test_split="test",
    metric="11point",
)
