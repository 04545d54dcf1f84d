"""Whether a model and a data set mean the same by the number of a class."""

from collections.abc import Sequence

from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError


def check_class_names(
    class_names: Sequence[str], dataset: Dataset, whose: str = "the model"
) -> None:
    """Raise `InputError` if the classes of `dataset` are not `class_names`, in this order.

    Args:
        whose: classes these are, for the message.
    """
    known, present = tuple(class_names), dataset.class_names
    if known == present:
        return
    if set(known) == set(present):
        difference = f"the same in another order: {', '.join(present)}"
    else:
        unknown = [name for name in present if name not in known]
        missing = [name for name in known if name not in present]
        difference = "; ".join(
            f"{what} {', '.join(names)}"
            for what, names in (("also", unknown), ("not", missing))
            if names
        )
    raise InputError(
        f"{dataset.name}: {whose} has the classes {', '.join(known)}, the data set has "
        f"{difference}. Load it with class_names=({', '.join(map(repr, known))},) to have them so"
    )
