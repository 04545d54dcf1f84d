"""EfficientNet-lite1 from ImageNet weights on 1000 photographs of Pascal VOC 2007: the heads.

    keras-frcnn train --recipe efficientnet-lite1-voc07-subset --out runs/lite1-heads
    keras-frcnn evaluate runs/lite1-heads

The photographs are those of squeezenet-voc07-subset. The weights are EfficientNet-lite1's of
ImageNet with batch normalisation folded in, as HDF5 in Keras's layout, looked for in the current
folder. `--data` and `--weights` name other places.

The trunk stays as it is; the recipe efficientnet-lite1-voc07-subset-2 goes on from here.

Result: 0.445 mAP (11 points) on the first 150 of the 500 test photographs.

Time: 1200 mini-batches in 7 minutes beside other programs on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="efficientnet-lite1-voc07-subset",
        data="voc2007_subset",
        split="trainval",
        class_names=(),
        trunk="efficientnet_lite1",
        weights="efficientnet_lite1_imagenet_notop.h5",
        finetune_from="fc6",
        dropout=0.0,
        min_side=(400, 480, 560),
        max_side=800,
        group_by_aspect=True,
        steps=1200,
        rate=0.0005,
        warmup=100,
        decay_at=(1100,),
    ),
    test_data="voc2007_subset",
    test_split="test",
    metric="11point",
)
