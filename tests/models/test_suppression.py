"""The suppression among proposals against OpenCV, ONNX Runtime and TensorFlow's of one image.

The boxes are anchors, whose corners are whole numbers: no library's rounding decides.
"""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from keras_frcnn.models.anchors import anchor_grid, base_anchors
from keras_frcnn.models.propose import Propose

RATIOS = (0.5, 1, 2)


def clipped_anchors(rows, columns, scales):
    """All anchors [k, 4] of an image of so many whole cells, cut at its border."""
    anchors = anchor_grid(rows, columns, base_anchors(scales, RATIOS), 16).numpy()
    return np.clip(anchors, 0, 16 * np.float32([columns, rows] * 2))


def call(layer, logits, rows, columns):
    """Proposals [N, P, 4] of images of so many cells whose anchors do not move."""
    n = len(logits)
    logits = logits.reshape(n, rows, columns, -1)
    scores = np.stack([np.ones_like(logits), logits + 1], axis=-1)
    sizes, scales = np.tile([16 * rows, 16 * columns], (n, 1)), np.ones((n, 2), np.float32)
    return layer(scores, np.zeros((*logits.shape, 4), np.float32), sizes, scales)[0].numpy()


def onnx_suppression():
    """ONNX Runtime's `NonMaxSuppression` of boxes [k, 4] and scores [k] at 0.7: the indices."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("boxes", [1, "k", 4]), ("scores", [1, 1, "k"]))
    ]
    numbers = {"most": np.array([10**6], np.int64), "iou": np.array([0.7], np.float32)}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["kept"])],
        "suppression",
        inputs,
        [onnx.helper.make_tensor_value_info("kept", onnx.TensorProto.INT64, ["kept", 3])],
        [onnx.numpy_helper.from_array(x, name) for name, x in numbers.items()],
    )
    opset = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def suppress(boxes, scores):
        (kept,) = session.run(None, {"boxes": boxes[None], "scores": scores[None, None]})
        return kept[:, 2]

    return suppress


@pytest.mark.parametrize("sets", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_suppression_equals_opencv_and_onnx(sets):
    suppress = onnx_suppression()
    rng = np.random.default_rng(0)
    for _ in range(sets):
        scales = tuple(rng.choice(np.arange(2, 25), 3, replace=False) / 2)
        boxes = clipped_anchors(26, 26, scales)
        logits = rng.permutation(len(boxes)).astype(np.float32)
        assert len(boxes) == 6084
        layer = Propose(scales, RATIOS, pre_nms=None, post_nms=len(boxes), min_size=0)
        (found,) = call(layer, logits[None], 26, 26)
        found = found[: (found[:, 0] >= 0).sum()]
        assert 100 < len(found) < len(boxes)
        np.testing.assert_array_equal(found, boxes[suppress(boxes, logits)])
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxes(xywh.astype(float).tolist(), (logits + 1).tolist(), 0.5, 0.7)
        np.testing.assert_array_equal(found, boxes[np.reshape(kept, -1)])


@pytest.mark.parametrize("sets", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_ranks_equal_tensorflows_suppression_of_one_image(sets):
    """On random sets in which most scores are shared by many boxes."""
    rng = np.random.default_rng(1)
    n, rows, columns, least, most = 250, 5, 6, 44, 20
    layer = Propose((4,), RATIOS, 16, None, most, nms_iou=0.5, min_size=least)
    anchors = clipped_anchors(rows, columns, (4,))
    large = np.flatnonzero((anchors[:, 2:] - anchors[:, :2] >= least).all(axis=1))
    assert 20 < len(large) < 80

    def alone(logits):
        """The kept boxes, padded with -1."""
        boxes = tf.constant(anchors[large])
        kept = tf.image.non_max_suppression(boxes, tf.gather(logits, large), most, 0.5)
        missing = most - tf.size(kept)
        return tf.pad(tf.gather(boxes, kept), [[0, missing], [0, 0]], constant_values=-1.0)

    all_alone = tf.function(lambda logits: tf.map_fn(alone, logits))
    for _ in range(sets // n):
        logits = rng.integers(-2, 3, (n, len(anchors))).astype(np.float32)
        np.testing.assert_array_equal(call(layer, logits, rows, columns), all_alone(logits))
