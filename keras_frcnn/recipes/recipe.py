"""The form of a recipe."""

from dataclasses import dataclass

from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.voc import METRICS
from keras_frcnn.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained and tested; checked when it is made.

    Raises:
        InputError: a value is impossible.
    """

    settings: Settings  # with the data set to train on; `class_names` are those it has
    test_data: str  # as given to --data
    test_split: str
    metric: str  # of `evaluation.METRICS`

    def __post_init__(self):
        if self.metric not in METRICS:
            raise InputError(f"metric: {self.metric!r} is not one of {', '.join(METRICS)}")
        if not self.settings.recipe:
            raise InputError("recipe: the settings do not name the recipe they belong to")
        if self.settings.class_names:
            raise InputError("class_names: a recipe takes those of the data set")
