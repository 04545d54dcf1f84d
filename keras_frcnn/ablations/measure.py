"""One pass of a detector over a data set, evaluated in several ways.

The network's outputs for a proposal do not depend on the others, so that a detector can be tested
without its box regressor, or with fewer proposals, from the outputs of one pass.

Shape letters: R proposals of an image, K object classes.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.data.images import read_image
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.evaluation.voc import Evaluation, evaluate
from keras_frcnn.progress_bar import counted

# From probabilities [1, R, K + 1], deltas [1, R, K, 4] and proposals [1, R, 4] of an image to
# those that detections are made of.
Way = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def as_it_is(probabilities, deltas, proposals):
    """The detector as it is trained."""
    return probabilities, deltas, proposals


def without_box_regression(probabilities, deltas, proposals):
    """Every detection is a proposal, unmoved (paper section 5.1)."""
    return probabilities, tf.zeros_like(deltas), proposals


def first_proposals(count: int) -> Way:
    """Only the first `count` proposals of each image are classified."""
    return lambda *outputs: tuple(x[:, :count] for x in outputs)


@dataclass(frozen=True)
class Measurement:
    """What one pass gave."""

    evaluations: dict[str, Evaluation]  # by the names of the ways
    seconds: float  # median time of the network for an image in memory with its proposals


def measure(
    detector: Detector, test: ImageSet, metric: str, ways: Mapping[str, Way]
) -> Measurement:
    """Run a detector over a split once and evaluate its detections in each of the ways."""
    classes = detector.model.output["bbox_pred"].shape[2]
    network = tf.function(
        detector.predict,
        input_signature=[
            tf.TensorSpec([1, None, None, 3], tf.uint8),
            tf.TensorSpec([1, None, 4], tf.float32),
        ],
    )
    finish = tf.function(
        lambda *inputs: postprocess(
            *inputs, detector.score_threshold, detector.nms_iou, detector.max_detections
        ),
        input_signature=[
            tf.TensorSpec([1, None, classes + 1], tf.float32),
            tf.TensorSpec([1, None, classes, 4], tf.float32),
            tf.TensorSpec([1, None, 4], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ],
    )
    found = {name: [] for name in ways}
    seconds = []
    pairs = list(zip(test.dataset.images, test.proposals, strict=True))
    for record, proposals in counted(pairs, len(pairs), "detecting"):
        image = read_image(record.path, record.orientation)
        start = time.perf_counter()
        probabilities, deltas = network(image[None], proposals[None])
        probabilities.numpy()  # waits for a GPU
        seconds.append(time.perf_counter() - start)
        for name, way in ways.items():
            outputs = way(probabilities, deltas, tf.constant(proposals[None]))
            boxes, scores, labels, count = (
                x[0].numpy() for x in finish(*outputs, tf.constant(image.shape[:2]))
            )
            found[name].append(Detections(boxes[:count], scores[:count], labels[:count]))
    evaluations = {name: evaluate(found[name], test.dataset, metric) for name in ways}
    return Measurement(evaluations, float(np.median(seconds)))
