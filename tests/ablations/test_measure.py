"""One pass evaluated in several ways, against a pass for each."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_frcnn.ablations.measure import (
    as_it_is,
    first_proposals,
    measure,
    without_box_regression,
)
from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.detection.detector import Detector
from keras_frcnn.evaluation.evaluate import evaluate_detector
from keras_frcnn.models.fast_rcnn import FastRCNN
from tests.images import colored_rectangles, random_proposals

COUNT = 60


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    dataset = colored_rectangles(
        tmp_path_factory.mktemp("rectangles"),
        [(60, 70), (70, 60)],
        [[(5, 5, 40, 40)], [(10, 20, 50, 60)]],
        labels=[[1], [2]],
    )
    return ImageSet(dataset, random_proposals(dataset))


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    model = FastRCNN(["one", "two"], "squeezenet", None, (0.1, 1), fc_units=(8, 8))
    return Detector(model, (104.0, 117.0, 123.0), 64, 100)


@pytest.fixture(scope="module")
def evaluations(detector, split):
    ways = {"all": as_it_is, "few": first_proposals(COUNT), "unmoved": without_box_regression}
    measured = measure(detector, split, "area", ways)
    assert measured.seconds > 0
    return measured.evaluations


def assert_equal(result, detector, split):
    _, expected = evaluate_detector(detector, split)
    np.testing.assert_array_equal(result.ap, expected.ap)
    for k in range(2):
        np.testing.assert_array_equal(result.precision[k], expected.precision[k])
        np.testing.assert_array_equal(result.recall[k], expected.recall[k])


def test_the_whole_detector(evaluations, detector, split):
    assert_equal(evaluations["all"], detector, split)


def test_fewer_proposals(evaluations, detector, split):
    assert len(split.proposals[0]) > COUNT
    assert_equal(
        evaluations["few"], detector, replace(split, proposals=[p[:COUNT] for p in split.proposals])
    )


def test_without_box_regression_the_offsets_are_zero(evaluations, detector, split):
    assert not np.array_equal(evaluations["unmoved"].precision[0], evaluations["all"].precision[0])
    model = FastRCNN(["one", "two"], "squeezenet", None, (0, 1), fc_units=(8, 8))  # mean 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            layer.set_weights(detector.model.get_layer(layer.name).get_weights())
    deltas = model.get_layer("bbox_deltas")
    deltas.set_weights([np.zeros(w.shape) for w in deltas.weights])
    unmoved = Detector(model, detector.pixel_means, 64, 100)
    assert_equal(evaluations["unmoved"], unmoved, split)
