"""VGG16 from random weights on BCCD, 364 photographs of blood cells.

    keras-frcnn train --recipe vgg16-bccd --out runs/bccd
    keras-frcnn evaluate runs/bccd

The data set, https://github.com/Shenggan/BCCD_Dataset (its folder BCCD), is looked for in `bccd`.
Where it lies elsewhere, give `--data FOLDER --split trainval`, and the same folder with `--split
test` to the second command.

Result: 0.684 mAP on its 72 test images (WBC 0.99, RBC 0.74, Platelets 0.32). The recipe
vgg16-bccd-480 goes on from there, to 0.774.

Time: 3000 mini-batches in 74 minutes on two cores that multiply bfloat16.
"""

from keras_frcnn.recipes.recipe import Recipe
from keras_frcnn.settings import Settings

RECIPE = Recipe(
    Settings(
        recipe="vgg16-bccd",
        data="bccd",
        split="trainval",
        class_names=(),
        trunk="vgg16",
        weights=None,
        # A quarter of the paper's units: pretrained ones for all 4096 are what random weights lack.
        fc_units=(1024, 1024),
        dropout=0.5,
        min_side=(320,),
        max_side=480,
        group_by_aspect=True,
        steps=3000,
        # Random weights need larger steps than pretrained ones, and a gentle start.
        rate=0.005,
        warmup=100,
        decay_at=(2400,),
    ),
    test_data="bccd",
    test_split="test",
    metric="area",
)
