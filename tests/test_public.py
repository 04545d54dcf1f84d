"""What `import keras_frcnn as kf` offers, and the README's way through it."""

import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_frcnn as kf
from keras_frcnn.batches.pipeline import training_dataset
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.registration import _MODULES
from tests.data.voc_files import photograph, voc_folder, xml, xml_object
from tests.images import random_proposals
from tests.tiny import add_trunk, tiny_dataset, tiny_settings

README = Path(__file__).parents[1] / "README.md"
VERSION_0_1 = Path(__file__).parent / "runs" / "version_0_1"


def python(code, *arguments):
    """What a process of its own prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.fixture(autouse=True)
def tiny_trunk(monkeypatch):
    add_trunk(monkeypatch)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def regions(photos):
    return random_proposals(photos)


def tiny_model(photos, **options):
    return kf.FastRCNN(photos.class_names, "tiny", None, min_side=(48, 64), max_side=80, **options)


def test_importing_the_package_imports_neither_tensorflow_nor_keras():
    code = "import sys, keras_frcnn as kf; print(*dir(kf), *sys.modules)"
    found = python(code)
    assert set(kf.__all__) <= set(found)
    assert not {"tensorflow", "keras", "numpy"} & set(found)


def test_every_public_name_is_there_and_no_other():
    for name in kf.__all__:
        assert getattr(kf, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        kf.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, keras_frcnn",
        "import keras_frcnn, tensorflow, keras",
        "import tensorflow, keras_frcnn, keras",
        # Ours first: this module is half imported when it imports Keras, and Keras our others.
        "import keras_frcnn.models.losses, keras",
    ],
)
def test_keras_loads_our_models_by_itself(photos, imports, tmp_path):
    model = kf.FastRCNN(photos.class_names, "squeezenet", None, fc_units=(4, 4))
    model.compile(kf.SGD(0.01))
    model.save(tmp_path / "photos.keras")
    code = f"{imports}; import sys; model, _, _ = map(keras.models.load_model, sys.argv[1:])"
    code += "; print(*model.class_names, model.optimizer.__module__)"
    expected = [*photos.class_names, "keras_frcnn.training.optimizer"]
    old = [VERSION_0_1 / "pyramid.keras", VERSION_0_1 / "run" / "best.keras"]
    assert python(code, tmp_path / "photos.keras", *old) == expected


def test_all_registered_modules_are_known_to_the_registration():
    package = Path(kf.__file__).parent
    found = {
        ".".join(("keras_frcnn", *path.relative_to(package).with_suffix("").parts))
        for path in package.rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text("utf-8")
    }
    assert found == set(_MODULES)


def test_batches_are_scaled_as_the_model_wants_them(photos, regions):
    model = tiny_model(photos)
    found = next(iter(kf.training_batches(photos, regions, model, rois_per_image=8, seed=3)))
    settings = tiny_settings(min_side=(48, 64), max_side=80, rois_per_image=8, seed=3)
    expected = training_dataset(ImageSet(photos, regions), model.pixel_means, settings)
    tf.nest.map_structure(np.testing.assert_array_equal, found, next(iter(expected)))


def test_other_classes_are_refused(photos, regions):
    model = tiny_model(replace(photos, class_names=("two", "one")))
    with pytest.raises(kf.InputError, match="another order: one, two"):
        kf.training_batches(photos, regions, model)
    with pytest.raises(kf.InputError, match="another order: one, two"):
        kf.evaluate(kf.Detector(model), photos, regions)


def test_a_model_of_plain_keras_has_no_batches(photos, regions):
    model = tiny_model(photos)
    plain = keras.Model(model.input, model.output)
    with pytest.raises(kf.InputError, match="FastRCNN"):
        kf.training_batches(photos, regions, plain)


def test_the_seed_decides_on_the_first_weights_and_on_nothing_else(photos, regions, tmp_path):
    """The weights are what they were when the whole process was seeded."""

    def numbers():
        return random.random(), np.random.random(), float(tf.random.uniform([]))

    keras.utils.set_random_seed(1)
    expected = numbers()
    keras.utils.set_random_seed(1)
    settings = tiny_settings(seed=5, steps=1, rate=1e-30, l2=0.0)
    model = kf.train(str(tmp_path / "run"), photos, regions, settings)
    assert numbers() == expected

    keras.utils.set_random_seed(5)
    seeded = kf.FastRCNN(photos.class_names, "tiny", None, dropout=0.0)
    for name in ("conv1", "conv2", "fc6", "fc7", "cls_score", "bbox_deltas"):
        a, b = (m.get_layer(name).kernel for m in (model, seeded))
        np.testing.assert_array_equal(a, b, err_msg=name)


# What the README's example is given here, in place of what would take hours.
SMALL = {
    'trunk="vgg16", weights="imagenet"': 'trunk="tiny", weights=None, min_side=48, max_side=80',
    "steps_per_epoch=1000, epochs=4": "steps_per_epoch=2, epochs=2",
    "photos.class_names, options=kf.ProposalOptions(scales=(8, 16, 32))": (
        'photos.class_names, "tiny", None, kf.ProposalOptions(scales=(4, 5)), '
        "min_side=48, max_side=80"
    ),
    "kf.Settings(": 'kf.Settings(trunk="tiny", weights=None, min_side=(48,), max_side=80, ',
    "steps=4000, decay_at=(3000,)": "steps=2, decay_at=(1,)",
}


def test_readme(tmp_path, monkeypatch, capsys):
    """The Python of the README, word by word but for `SMALL`."""
    section = README.read_text("utf-8").split("\n## In Python\n")[1].split("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    for literal, small in SMALL.items():
        assert literal in code, literal
        code = code.replace(literal, small)
    cat, dog = xml_object("cat"), xml_object("dog", (31, 11, 70, 50))
    images = {"a": xml(cat), "b": xml(cat, dog), "c": xml(dog)}
    voc_folder(tmp_path / "photos", images, {"train": ["a", "b"], "test": ["c"]})
    photograph(seed=3).save(tmp_path / "some.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_FRCNN_CACHE", str(tmp_path / "cache"))
    names = {}
    exec(code, names)
    assert names["model"].class_names == names["settings"].class_names == ("cat", "dog")
    assert set(names["found"].names) <= {"cat", "dog"}
    (mean_ap,) = re.findall(r"^\d\.\d+$", capsys.readouterr().out, re.MULTILINE)
    assert 0 <= float(mean_ap) <= 1
    assert (tmp_path / "models" / "photos" / "1" / "saved_model.pb").is_file()
