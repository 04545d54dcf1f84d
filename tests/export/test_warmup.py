import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_frcnn.export.warmup import FILE_NAME


def test_warmup_requests_are_answered(case):
    records = tf.data.TFRecordDataset(str(case.folder / "assets.extra" / FILE_NAME))
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in records]
    names = []
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        names.append(request.model_spec.signature_name)
        tensors = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        out = case.served[names[-1]](**tensors)
        assert out["detection_boxes"].shape == (1, 100, 4)
    assert names == ["serving_default", "detect_pixels"]


def test_warmup_image_has_the_size_that_the_network_sees(case):
    record = next(iter(tf.data.TFRecordDataset(str(case.folder / "assets.extra" / FILE_NAME))))
    request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
    (encoded,) = request.inputs["image_bytes"].string_val
    assert tf.io.decode_jpeg(encoded).shape == (96, 128, 3)
