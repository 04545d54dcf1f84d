"""Requests that TensorFlow Serving answers for itself before it sends a new version traffic.

The first request of a signature optimizes its graph and rearranges its weights, which takes many
times as long as the following ones.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from keras_frcnn.data.preprocessing import scaled_size
from keras_frcnn.detection.detector import Detector

FILE_NAME = "tf_serving_warmup_requests"  # in assets.extra/, by TensorFlow Serving
PROPOSALS = 300


def requests(detector: Detector) -> list[predict_pb2.PredictRequest]:
    """One request for each way to send an image: as a file and as pixels.

    The image, a gradient of 4 to 3, has the size that the network sees such images in. `raw` gets
    none: each signature that runs holds weights of its own in memory, and few servers use it.
    """
    height, width = scaled_size((3, 4), detector.min_side, detector.max_side).numpy()
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([255 * y // height, 255 * x // width, 127 + 0 * x], axis=-1).astype(np.uint8)
    encoded = tf.io.encode_jpeg(image).numpy()
    given = {}
    if detector.needs_proposals:
        corners = np.random.default_rng(0).uniform(0, 1, (PROPOSALS, 2, 2)) * [width, height]
        given["proposals"] = np.sort(corners, axis=1).reshape(1, PROPOSALS, 4).astype(np.float32)
    return [
        _request("serving_default", image_bytes=[encoded], **given),
        _request("detect_pixels", images=image[None], **given),
    ]


def write_warmup(path: Path, detector: Detector) -> None:
    """Write the requests as TensorFlow Serving reads them: a TFRecord file of PredictionLog."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests(detector):
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _request(signature, **tensors):
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in tensors.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request
