"""Whole detections and their stages, as `keras-frcnn bench faster-rcnn` measures them.

Detection runs as an export does (`export.frozen`), with constant convolutions, by Fast R-CNN from
an image and its proposals and by Faster R-CNN from the image alone.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.benchmarks.detect_models import BACKGROUND_BIAS, build_detector
from keras_frcnn.benchmarks.detect_steps import HEADS, POOL, PREPARE, SUPPRESS, TRUNK, Source
from keras_frcnn.benchmarks.proposals_networks import as_if_trained
from keras_frcnn.benchmarks.proposals_steps import DETECTION, LAYERS, Step
from keras_frcnn.benchmarks.proposals_steps import SUPPRESS as SUPPRESS_ANCHORS
from keras_frcnn.benchmarks.proposals_tensorflow import rpn_of
from keras_frcnn.benchmarks.turns import answer_named
from keras_frcnn.data.preprocessing import box_scale, scale_image, scaled_size
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.detection.proposing import ProposingDetector
from keras_frcnn.export.frozen import IMAGES, frozen_function, traced
from keras_frcnn.export.precision import with_precision
from keras_frcnn.models.faster_rcnn import FasterRCNN
from keras_frcnn.models.heads import REGION_LAYER

Stages = Mapping[str, Callable[..., Mapping]]  # arguments are results of earlier stages, by name


def build(source: Source, image: np.ndarray, proposes: bool) -> Detector:
    """A detector with random weights, in float32; of its scores few pass the threshold."""
    if not proposes:
        return build_detector(source)
    keras.utils.set_random_seed(0)
    names = map(str, range(source.num_classes))
    model = FasterRCNN(names, source.trunk, None, fc_units=source.fc_units)
    bias = model.get_layer("cls_score").bias
    bias.assign(bias + BACKGROUND_BIAS * tf.one_hot(0, source.num_classes + 1))
    as_if_trained(model, image)
    return ProposingDetector(model, min_side=source.min_side, max_side=source.max_side)


def load_steps(
    detector: Detector,
    images: Sequence[np.ndarray],
    proposals: Sequence[np.ndarray] | None,
    precisions: Sequence[str],
) -> dict[Step, Callable[[], Mapping]]:
    """Functions that detect in each image, and run the stages on the first of them.

    Args:
        detector: in float32.
        images: uint8 RGB [H, W, 3].
        proposals: [R, 4] of each image, of a detector that needs them.
        precisions: of the network.
    """
    steps = {}
    for precision in precisions:
        ready = traced(detector, with_precision(detector.model, precision))
        for i, image in enumerate(images):
            given = () if proposals is None else (proposals[i],)
            steps[Step(DETECTION, i, precision)] = _detection(ready, image, *given)
        state = {"image": tf.constant(images[0][None])}
        if proposals is None:
            stages = proposing_stages(ready)
        else:
            stages, state["proposals"] = given_stages(ready), tf.constant(proposals[0][None])
        for what, run in bound(stages, state).items():
            steps[Step(what, 0, precision)] = run
    return steps


def bound(stages: Stages, state: dict) -> dict[str, Callable[[], Mapping]]:
    """Functions that run one stage each, on what those before it have given.

    Args:
        state: what the first stages take, by name; it gets what each returns.
    """
    steps = {}
    for name, stage in stages.items():
        taken = {argument: state[argument] for argument in inspect.signature(stage).parameters}
        function = tf.function(stage, autograph=False)
        steps[name] = _call(function, taken)
        state |= steps[name]()
    return steps


def given_stages(detector: Detector) -> Stages:
    """What `Detector.detect_batch` is made of."""
    pool, features, heads = _parts(detector.model)
    trunk = _trunk(detector.model.input["images"], features)

    def prepare(image, proposals):
        size, scaled = _sizes(detector, image)
        distinct, index = pool.distinct_rois(proposals * box_scale(size, scaled))
        images = scale_image(image, scaled, detector.pixel_means)
        return {"images": images, "rois": distinct, "index": index}

    def suppress(cls_score, bbox_pred, index, proposals, image):
        probabilities = tf.gather(tf.nn.softmax(cls_score), index, batch_dims=1)
        deltas = tf.gather(bbox_pred, index, batch_dims=1)
        return _found(detector, probabilities, deltas, proposals, image)

    return {
        PREPARE: prepare,
        TRUNK: lambda images: {"features": trunk(images)},
        POOL: lambda features, rois: {"pooled": pool(features, rois)},
        HEADS: lambda pooled: heads(pooled, training=False),
        SUPPRESS: suppress,
    }


def proposing_stages(detector: ProposingDetector) -> Stages:
    """What `ProposingDetector.detect_batch` is made of."""
    pool, features, heads = _parts(detector.model)
    trunk = _trunk(detector.model.input["images"], features)
    rpn, layer = rpn_of(detector.proposer), detector.proposer.layer

    def prepare(image):
        _, scaled = _sizes(detector, image)
        return {"images": scale_image(image, scaled, detector.pixel_means)}

    def propose(scores, deltas, image):
        size, scaled = _sizes(detector, image)
        rois, objectness = layer(scores, deltas, scaled[None], box_scale(size, scaled)[None, :2])
        return {"rois": rois, "objectness": objectness}

    def suppress(cls_score, bbox_pred, rois, image):
        proposals = rois / box_scale(*_sizes(detector, image))
        return _found(detector, tf.nn.softmax(cls_score), bbox_pred, proposals, image)

    return {
        PREPARE: prepare,
        TRUNK: lambda images: {"features": trunk(images)},
        LAYERS: lambda features: rpn(features),
        SUPPRESS_ANCHORS: propose,
        POOL: lambda features, rois: {"pooled": pool(features, rois)},
        HEADS: lambda pooled: heads(pooled, training=False),
        SUPPRESS: suppress,
    }


def serve(
    pipe: Connection,
    threads: int,
    source: Source,
    images: Sequence[np.ndarray],
    proposals: Sequence[np.ndarray] | None,
    precisions: Sequence[str],
) -> None:
    """Answer for the steps of one detector (`turns.answer_named`)."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    detector = build(source, images[0], proposals is None)
    answer_named(pipe, load_steps(detector, images, proposals, precisions))


def _detection(detector, image, *proposals):
    def detect():
        if proposals:
            return {"boxes": detector.detect(image, *proposals).boxes}
        found, proposed = detector.examine(image)
        return {"boxes": found.boxes, "proposals": proposed}

    return detect


def _parts(model):
    """RoI pooling, the features that it reads, and what comes behind it."""
    pool = model.get_layer(REGION_LAYER)
    names = ("cls_score", "bbox_pred")
    heads = keras.Model(pool.output, {name: model.get_layer(name).output for name in names})
    return pool, pool.input[0], heads


def _trunk(images, features):
    trunk = keras.Model(images, features)
    return frozen_function(trunk, lambda x: trunk(x, training=False), [IMAGES])


def _sizes(detector, image):
    size = tf.shape(image)[1:3]
    return size, scaled_size(size, detector.min_side, detector.max_side)


def _found(detector, probabilities, deltas, proposals, image):
    limits = detector.score_threshold, detector.nms_iou, detector.max_detections
    found = postprocess(probabilities, deltas, proposals, tf.shape(image)[1:3], *limits)
    return dict(zip(("boxes", "scores", "classes", "count"), found, strict=True))


def _call(function, arguments):
    return lambda: function(**arguments)
