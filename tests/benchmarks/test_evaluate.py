"""That evaluation is measured: time beside the detector's own, and memory on the way."""

import dataclasses

import pytest

from keras_frcnn.benchmarks import evaluate
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detector import Detector
from tests.export.conftest import MEANS, small_model
from tests.images import random_proposals
from tests.tiny import tiny_dataset


def test_images_are_taken_again(tmp_path):
    dataset = tiny_dataset(tmp_path)
    many = evaluate.repeated(dataset, 8)
    assert [record.path for record in many.images[3:6]] == [r.path for r in dataset.images]
    assert len({record.filename for record in many.images}) == 8
    assert len(evaluate.repeated(dataset, 2).images) == 2


def test_time_and_memory(tmp_path, capsys):
    detector = Detector(small_model(), MEANS, min_side=64, max_side=100)
    dataset = dataclasses.replace(tiny_dataset(tmp_path), class_names=("a", "b", "c"))
    dataset = evaluate.repeated(dataset, 20)
    alone, detecting, evaluating, memory = evaluate.measure(
        detector, ImageSet(dataset, random_proposals(dataset, 10))
    )
    assert min(alone, detecting, evaluating) > 0
    assert len(memory) == evaluate.NOTES + 1 and min(memory) > 10**8


def test_the_text():
    text = evaluate.describe(1000, 0.05, 52.0, 1.0, [10**9, 2 * 10**9, 3 * 10**9])
    assert "| of the images | 50% | 100% | evaluated |" in text
    assert "| resident memory (MB) | 1000 | 2000 | 3000 |" in text
    assert "together 1.06 times" in text and "50.0 ms" in text


def test_needs_a_run(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--data", "d"])
    assert "--run" in capsys.readouterr().err
