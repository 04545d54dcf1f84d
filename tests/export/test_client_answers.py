"""Answers to the client that are none, come by the drop or have no end."""

import contextlib
import json
import socket
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from keras_frcnn.errors import InputError
from keras_frcnn.export import client
from tests.export.requests import proposals_in
from tests.export.servers import UNRUN, GrpcServer, RestServer

pytestmark = pytest.mark.usefixtures("direct", "delays")
both = pytest.mark.parametrize("server", [RestServer, GrpcServer])
BOXES = proposals_in(90, 120, 40)


GOOD = {
    "detection_boxes": np.float32([[[0, 0, 1, 1], [0, 0, 0, 0]]]),
    "detection_scores": np.float32([[0.9, 0]]),
    "detection_classes": np.float32([[2, 0]]),
    "num_detections": np.float32([1]),
}


def wrong(**changes):
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not None}


@both
@pytest.mark.parametrize(
    ("outputs", "complaint"),
    [
        (wrong(num_detections=None), "needs numbers called"),
        ({}, "needs numbers called"),
        (wrong(detection_scores=np.array([["a", "b"]])), "needs numbers called"),
        (wrong(detection_scores=np.float32([0.9, 0])), "shapes"),
        (wrong(detection_boxes=np.zeros((1, 2, 5))), "shapes"),
        (wrong(num_detections=np.float32([3])), "num_detections is 3"),
        (wrong(num_detections=np.float32([np.nan])), "num_detections is nan"),
        (wrong(num_detections=np.float32([0.5])), "num_detections is 0.5"),
        (wrong(detection_scores=np.float32([[np.inf, 0]])), "finite"),
        (wrong(detection_boxes=np.float32([[[0, 0, 3e38, 1]] * 2])), "fractions"),
        (wrong(detection_boxes=np.float32([[[np.nan, 0, 1, 1]] * 2])), "fractions"),
        (wrong(detection_classes=np.float32([[0, 0]])), "whole numbers from 1"),
        (wrong(detection_classes=np.float32([[1e9, 0]])), "whole numbers from 1 to 100000"),
        (wrong(detection_classes=np.float32([[1.5, 0]])), "whole numbers from 1"),
    ],
)
def test_answers_of_another_model(server, photo, outputs, complaint):
    if server is RestServer:
        body = json.dumps({"outputs": {k: v.tolist() for k, v in outputs.items()}}).encode()
        fault = 200, body
    else:
        fault = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            fault.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    with server(UNRUN, faults=[fault]) as running:
        with pytest.raises(InputError, match=f"not as an exported detector.*{complaint}"):
            client.Client(running.url).detect(photo, BOXES)


def test_well_formed_answers_are_read(photo):
    fault = 200, json.dumps({"outputs": {k: v.tolist() for k, v in GOOD.items()}}).encode()
    with RestServer(UNRUN, faults=[fault]) as running:
        found = client.Client(running.url).detect(photo, BOXES)
    assert found.boxes.tolist() == [[0, 0, 120, 90]] and found.classes.tolist() == [2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b"[1, 2]",
        b"null",
        b'{"predictions": []}',
        b"\xff\xfe",
        b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
)
def test_answers_that_are_no_prediction(photo, body):
    with RestServer(UNRUN, faults=[(200, body)]) as running:
        with pytest.raises(InputError, match="answers what is no prediction"):
            client.Client(running.url).detect(photo, BOXES)


def test_numbers_nested_deeply_or_too_large_for_any_type(photo):
    deep = b"[" * 500 + b"1" + b"]" * 500
    for value in (deep, b"[1" + b"0" * 400 + b"]"):
        names = (f'"{name}": '.encode() + value for name in client.OUTPUTS)
        body = b'{"outputs": {' + b", ".join(names) + b"}}"
        with RestServer(UNRUN, faults=[(200, body)]) as running:
            with pytest.raises(InputError, match="not as an exported detector"):
                client.Client(running.url).detect(photo, BOXES)


def test_an_answer_by_the_drop_is_given_up(photo, delays):
    """Each byte comes in time, the answer does not; nor do the headers of the second."""
    for dripped in (b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX: "):
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def drip(listening=listening, dripped=dripped):
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):  # the client leaves
                    connection.sendall(dripped)
                    for _ in range(40):
                        threading.Event().wait(0.05)
                        connection.sendall(b" ")

            thread = threading.Thread(target=drip)
            thread.start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/models/detector"
            start = time.perf_counter()
            with pytest.raises(InputError, match=r"no answer within 0\.3 seconds"):
                client.Client(url, timeout=0.3).detect(photo, BOXES)
            assert time.perf_counter() - start < 1.5
            thread.join()
    assert not delays


def test_answers_without_end_are_given_up(photo, monkeypatch):
    monkeypatch.setattr("keras_frcnn.export.client_rest.MAX_ANSWER", 100_000)
    for status in (200, 500):
        with RestServer(UNRUN, faults=[(status, b" " * 200_000)]) as running:
            with pytest.raises(InputError, match="answers with more than 100000 bytes"):
                client.Client(running.url).detect(photo, BOXES)


def test_a_number_that_stands_for_a_tensor_without_end(photo):
    fault = predict_pb2.PredictResponse()
    for name in client.OUTPUTS:
        tensor = fault.outputs[name]
        tensor.dtype = tf.float32.as_datatype_enum
        tensor.float_val.append(1)
        tensor.tensor_shape.dim.add(size=1 << 40)
    with GrpcServer(UNRUN, faults=[fault]) as running:
        with pytest.raises(InputError, match="answers what is no prediction"):
            client.Client(running.url).detect(photo, BOXES)


def test_redirects_are_not_followed(photo):
    with RestServer(UNRUN) as other:
        with RestServer(UNRUN, faults=[(307, b"", {"Location": f"{other.url}:predict"})]) as asked:
            with pytest.raises(InputError, match=f"sends the request on to {other.url}"):
                client.Client(asked.url).detect(photo, BOXES)
        assert not other.requests
