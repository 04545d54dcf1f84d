"""Detection with an image pyramid: each proposal is seen at the scale that suits its size.

Shape letters: N images, R proposals an image, S scales, K object classes.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_frcnn import boxes as box_ops
from keras_frcnn.data.preprocessing import box_scale, scaled_size
from keras_frcnn.detection.detector import Detector

AREA = 224.0**2  # square pixels a scaled proposal should have, the input of ImageNet networks


class MultiScaleDetector(Detector):
    """A detector that tests at several scales (paper section 5.2; He et al. 2014 for SPPnet).

    Args:
        model, pixel_means, options: as `Detector` takes them.
        min_sides: the scales, S shorter sides of scaled images; by default those of the model's
            training.
        max_side: for all of them.
    """

    def __init__(
        self,
        model: keras.Model,
        pixel_means: tuple[float, float, float] | None = None,
        min_sides: Sequence[int] | None = None,
        max_side: int | None = None,
        **options,
    ):
        sides = min_sides or getattr(model, "min_side", None) or (600,)
        super().__init__(model, pixel_means, sides[0], max_side, **options)
        self.scales = [Detector(model, self.pixel_means, side, self.max_side) for side in sides]

    def predict(self, images, proposals):
        """As `Detector.predict`, each proposal at its own scale."""
        chosen = self.scale_of(proposals, tf.shape(images)[1:3])
        probabilities, deltas = None, None
        for i, detector in enumerate(self.scales):
            here = (chosen == i)[..., None]
            # Those of other scales all become the same RoI, which costs next to nothing.
            p, d = detector.predict(images, tf.where(here, proposals, 0.0))
            probabilities = p if i == 0 else tf.where(here, p, probabilities)
            deltas = d if i == 0 else tf.where(here[..., None], d, deltas)
        return probabilities, deltas

    def scale_of(self, proposals, image_size):
        """The scale at which each proposal's area is nearest to `AREA`: [N, R, 4] -> [N, R]."""
        factors = [
            box_scale(image_size, scaled_size(image_size, d.min_side, d.max_side))
            for d in self.scales
        ]
        areas = box_ops.area(proposals[:, :, None] * tf.stack(factors))
        return tf.argmin(tf.abs(areas - AREA), axis=-1, output_type=tf.int32)
