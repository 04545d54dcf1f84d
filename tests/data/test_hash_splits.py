"""Splits by the content of images."""

import shutil

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.data import load
from keras_frcnn.data.hash_splits import NAMES, check_fractions, split_of
from keras_frcnn.data.load import open_source
from keras_frcnn.errors import InputError
from tests.data.voc_files import xml, xml_object


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """300 images of 3 x 2 pixels beside their annotations."""
    root = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (300, 2, 3, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(root / f"p{i:03d}.png")
        (root / f"p{i:03d}.xml").write_text(xml(xml_object("cat", (1, 1, 2, 2)), size=(3, 2)))
    return root


def ids(root, fractions=(0.8, 0.1, 0.1)):
    source = open_source(str(root), fractions=fractions)
    return {name: source.ids(name) for name in NAMES}


def test_every_image_is_in_one_split_and_the_parts_are_as_asked(many):
    found = ids(many)
    assert sorted(found["train"] + found["val"] + found["test"]) == [
        f"p{i:03d}" for i in range(300)
    ]
    counts = [len(found[name]) for name in NAMES]
    # A binomial deviation of 300 x 0.8 x 0.2 is 7.
    np.testing.assert_allclose(counts, [240, 30, 30], atol=21)
    assert len(ids(many, (0.5, 0.25, 0.25))["train"]) == pytest.approx(150, abs=26)


def test_an_added_image_moves_none_and_a_duplicate_follows_its_original(many, tmp_path):
    root = shutil.copytree(many, tmp_path / "grown")
    before = ids(root)
    for name in ("p000", "p123", "p299"):
        for suffix in (".png", ".xml"):
            shutil.copy(root / f"{name}{suffix}", root / f"copy of {name}{suffix}")
    after = ids(root)
    for name in NAMES:
        copies = [f"copy of {i}" for i in ("p000", "p123", "p299") if i in before[name]]
        assert after[name] == sorted(before[name] + copies)


def test_it_is_said_how_they_were_divided(many):
    dataset = load(many, "val")
    (line,) = dataset.notes
    counts = {name: len(found) for name, found in ids(many).items()}
    assert line == (
        f"{many}: has no lists; divided 80/10/10 by the content of the images: "
        f"{counts['train']} train, {counts['val']} val, {counts['test']} test"
    )
    assert not load(many).notes


def test_the_split_at_the_borders():
    fractions = (0.5, 0.25, 0.25)
    positions = (0, 0.4999, 0.5, 0.7499, 0.75, 1 - 2**-48)
    assert [split_of(x, fractions) for x in positions] == [
        *("train", "train", "val", "val", "test", "test")
    ]
    assert {split_of(x, (1, 0, 0)) for x in positions} == {"train"}
    # 0.7 + 0.3 and 1 - 0 leave nothing for the test split, whatever the rounding.
    assert split_of(1 - 2**-48, (0.7, 0.3, 0.0)) == "val"
    assert split_of(0.0, (0, 0, 1)) == "test"


@pytest.mark.parametrize("fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), ()])
def test_impossible_fractions(many, fractions):
    with pytest.raises(InputError, match="fractions: train, val and test need three parts of 1"):
        check_fractions(fractions)


def test_lists_go_before(many, tmp_path):
    root = shutil.copytree(many, tmp_path / "listed")
    (root / "train.txt").write_text("p001\n")
    assert open_source(str(root)).splits == ("train",)
    assert [r.filename for r in load(root, "train").images] == ["p001.png"]
