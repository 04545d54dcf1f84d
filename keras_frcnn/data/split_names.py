"""What the splits of data sets are called."""

from collections.abc import Collection

SPLIT_NAMES = ("train", "trainval", "val", "valid", "validation", "test")
TRAINING_SPLITS = ("trainval", "train")  # the first that there is
_SAME = ("val", "valid", "validation")  # Pascal VOC, Roboflow, TensorFlow Datasets


def known_as(name: str, splits: Collection[str]) -> str:
    """The split of `splits` that is meant by `name`, the name itself where none is.

    Splits to validate on have several names; which of them a data set takes need not be known.
    """
    if name not in splits and name in _SAME:
        return next((other for other in _SAME if other in splits), name)
    return name
