"""Requests to the exported signatures, and servers' answers to the client."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from keras_frcnn.detection.detector import Detector
from keras_frcnn.errors import InputError
from keras_frcnn.export.client import OUTPUTS, Client
from keras_frcnn.export.inputs import MAX_COORDINATE
from keras_frcnn.export.saved_model import export_saved_model
from tests.export.conftest import CLASSES, MAX_PIXELS, MEANS, small_model
from tests.export.requests import encoded, photograph, proposals_in
from tests.faults.campaign import Lost
from tests.faults.mutations import mutated_bytes, mutated_json

AWKWARD = (0.0, -1.0, -0.0, 1e-30, 1e9, -1e9, MAX_COORDINATE, np.inf, -np.inf, np.nan)
BOXES = proposals_in(60, 80, 20)


def signatures(folder: Path):
    """The signatures of a small export."""
    detector = Detector(small_model(), MEANS, min_side=96, max_side=160)
    to = export_saved_model(detector, folder / "models", CLASSES, max_pixels=MAX_PIXELS)
    return tf.saved_model.load(str(to)).signatures


def requests(folder: Path):
    """Images that are none, proposals of any numbers: detections, or a refusal of an element."""
    serve = signatures(folder)["serving_default"]
    photo = photograph(60, 80)
    files = [encoded(photo), encoded(photo, "JPEG"), encoded(photo, "JPEG", progressive=True)]

    def attempt(rng):
        count = int(rng.integers(1, 3))
        images = [files[rng.integers(len(files))] for _ in range(count)]
        proposals = np.tile(BOXES, (count, 1, 1))
        kind = rng.integers(3)
        if kind != 0:
            images[-1] = mutated_bytes(rng, images[-1])
        if kind != 1:
            for _ in range(rng.integers(1, 5)):
                where = tuple(rng.integers(proposals.shape))
                proposals[where] = AWKWARD[rng.integers(len(AWKWARD))]
        if not rng.integers(20):
            proposals = proposals[: rng.integers(count + 1), : rng.integers(3)]
        try:
            found = serve(image_bytes=tf.constant(images), proposals=tf.constant(proposals))
        except tf.errors.InvalidArgumentError as error:
            if not any(name in error.message for name in ("image_bytes", "proposals")):
                raise Lost(f"the refusal names no element: {error.message[:300]}") from error
            return
        boxes, scores, classes, counts = (found[name].numpy() for name in OUTPUTS)
        for row, n in enumerate(counts.astype(int)):
            b = boxes[row, :n]
            is_right = (
                np.isfinite(b).all()
                and (b >= 0).all()
                and (b <= 1).all()
                and (b[:, 2:] > b[:, :2]).all()
                and (scores[row, :n] > 0).all()
                and (scores[row, :n] <= 1).all()
                and set(classes[row, :n]) <= {1, 2, 3}
            )
            if not is_right:
                raise Lost(f"detections {b} {scores[row, :n]} {classes[row, :n]}")

    return attempt


def rest_answers(folder: Path):
    """Answers over HTTP, damaged in the JSON or anywhere."""
    path, answer = _photo(folder), _Answer()
    text = json.dumps({"outputs": _outputs()})
    url = _listening(answer)

    def attempt(rng):
        if rng.integers(3):
            answer.content = _http(mutated_json(rng, text))
        else:
            answer.content = mutated_bytes(rng, _http(text.encode()))
        _ask(Client(url, timeout=10, retries=0), path)

    return attempt


def rest_questions(folder: Path):
    """What a server says of its model over HTTP, damaged: it takes proposals, or it does not."""
    answer = _Answer()
    inputs = {name: {"dtype": "DT_STRING"} for name in ("image_bytes", "proposals")}
    known = {"signature_def": {"serving_default": {"inputs": inputs}}}
    text = json.dumps({"metadata": {"signature_def": known}})
    client = Client(_listening(answer), timeout=10, retries=0)

    def attempt(rng):
        if rng.integers(3):
            answer.content = _http(mutated_json(rng, text))
        else:
            answer.content = mutated_bytes(rng, _http(text.encode()))
        try:
            client.needs_proposals()
        except InputError as error:
            _check_message(client, error)

    return attempt


def grpc_answers(folder: Path):
    """Answers over gRPC."""
    path, answer = _photo(folder), _Answer()
    response = predict_pb2.PredictResponse()
    for name, value in _outputs().items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(np.float32(value)))
    whole = response.SerializeToString()

    class Anything(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer.content)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Anything()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = Client(f"grpc://127.0.0.1:{port}/detector", timeout=10, retries=0)

    def attempt(rng):
        answer.content = mutated_bytes(rng, whole)
        _ask(client, path)

    attempt.server = server  # which would end with its last name
    return attempt


class _Answer:
    content = b""


def _photo(folder):
    path = folder / "a b.png"
    path.write_bytes(encoded(photograph(60, 80)))
    return path


def _outputs():
    rng = np.random.default_rng(3)
    boxes = np.sort(rng.uniform(0, 1, (1, 5, 2, 2)), axis=2).reshape(1, 5, 4)
    scores = np.sort(rng.uniform(0, 1, (1, 5)))[:, ::-1]
    values = (boxes, scores, rng.integers(1, 4, (1, 5)), np.full(1, 5.0))
    return {name: value.tolist() for name, value in zip(OUTPUTS, values, strict=True)}


def _http(body):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def _listening(answer):
    """The URL of a server that always answers so."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_answer_always, args=(listener, answer), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models/detector"


def _answer_always(listener, answer):
    while True:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(1 << 16)
            head, _, body = request.partition(b"\r\n\r\n")
            _, _, length = head.lower().partition(b"content-length:")
            length = int(length.split(b"\r\n")[0] or 0)  # none of a GET
            while len(body) < length:
                body += connection.recv(1 << 16)
            connection.sendall(answer.content)


def _ask(client, path):
    try:
        found = client.detect(path, BOXES)
    except InputError as error:
        return _check_message(client, error)
    is_inside = (found.boxes >= -1).all() and (found.boxes <= 81).all()
    if not (is_inside and np.isfinite(found.scores).all()):
        raise Lost(f"detections {found}")


def _check_message(client, error):
    if client.url not in str(error) or len(str(error)) > 2000:
        raise Lost(f"the message names no server: {str(error)[:300]}") from error
