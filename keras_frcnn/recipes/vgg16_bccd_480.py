"""From the detector of vgg16-bccd on at the photographs' own size, 480 pixels.

    keras-frcnn train --recipe vgg16-bccd --out runs/bccd
    keras-frcnn train --recipe vgg16-bccd-480 --out runs/bccd480
    keras-frcnn evaluate runs/bccd480

The data set is found as by vgg16-bccd; `--from RUN` names another run than `runs/bccd`.

Result: 0.774 mAP on the 72 test images of BCCD (WBC 0.99, RBC 0.76, Platelets 0.57).

Time: 1600 mini-batches in 76 minutes beside other programs on two cores that multiply bfloat16; at
1.5 s a step it would be 40.
"""

import dataclasses

from keras_frcnn.recipes import vgg16_bccd
from keras_frcnn.recipes.recipe import Recipe

RECIPE = Recipe(
    dataclasses.replace(
        vgg16_bccd.RECIPE.settings,
        recipe="vgg16-bccd-480",
        initial="runs/bccd",
        finetune_from="conv1_1",
        min_side=(480,),
        max_side=640,
        rois_per_image=128,
        steps=1600,
        rate=0.004,
        warmup=50,
        decay_at=(1300,),
        seed=1,
    ),
    test_data=vgg16_bccd.RECIPE.test_data,
    test_split="test",
    metric="area",
)
