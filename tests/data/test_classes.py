import pytest

from keras_frcnn.data.classes import check_class_names
from keras_frcnn.data.dataset import Dataset
from keras_frcnn.errors import InputError


def test_the_difference_is_named():
    photos = Dataset("photos:train", ("cat", "dog"), ())
    check_class_names(["cat", "dog"], photos)
    with pytest.raises(
        InputError, match=r"photos:train: .*another order: cat, dog\. .*'dog', 'cat'"
    ):
        check_class_names(["dog", "cat"], photos)
    with pytest.raises(InputError, match=r"the run has .* also dog; not cow, hen\."):
        check_class_names(["cat", "cow", "hen"], photos, "the run")
    with pytest.raises(InputError, match=r"has not cow\."):
        check_class_names(["cat", "cow", "dog"], photos)
