"""Choices at test time on a data set: the numbers are those of each choice alone."""

import dataclasses

import pytest

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.test_time import TestOptions, TestTimeDetector
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.test_variants import PLAIN, Variant, compare_variants, variants_of
from keras_frcnn.evaluation.voc import evaluate
from tests.export.conftest import MEANS, small_model
from tests.images import random_proposals
from tests.tiny import tiny_dataset


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    dataset = tiny_dataset(tmp_path_factory.mktemp("images"))
    dataset = dataclasses.replace(dataset, class_names=("a", "b", "c"))
    return ImageSet(dataset, random_proposals(dataset, 60))


@pytest.fixture(scope="module")
def detector():
    return Detector(small_model(), MEANS, min_side=64, max_side=100)


def test_rows_are_those_of_each_choice(detector, images):
    soft = TestOptions(soft_nms=0.5)
    variants = {PLAIN: Variant(), "20": Variant(proposals=20), "soft": Variant(soft)}
    rows = {row["test"]: row for row in compare_variants(detector, images, variants)}
    softly = TestTimeDetector(detector, soft)
    pairs = [
        (read_image(record.path, record.orientation), boxes)
        for record, boxes in zip(images.dataset.images, images.proposals, strict=True)
    ]
    expected = {
        PLAIN: [detector.detect(image, boxes) for image, boxes in pairs],
        "20": [detector.detect(image, boxes[:20]) for image, boxes in pairs],
        "soft": [softly.detect(image, boxes) for image, boxes in pairs],
    }
    for name, found in expected.items():
        assert rows[name]["mAP (VOC)"] == evaluate(found, images.dataset).mean_ap, name
    assert rows[PLAIN]["times as long"] == "1.00" and float(rows["soft"]["ms an image"]) > 0


def test_numbers_of_proposals_are_those_below_the_most(detector):
    names = list(variants_of(detector, 300))
    assert names[:3] == [PLAIN, "50 proposals", "100 proposals"]
    assert "300 proposals" not in names and "scales 51, 64, 80" in names


def test_proposals_are_needed(detector, images):
    with pytest.raises(InputError, match="proposals: the detector needs some"):
        compare_variants(detector, ImageSet(images.dataset), {PLAIN: Variant()})
