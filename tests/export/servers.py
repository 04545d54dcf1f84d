"""Servers on real sockets that answer as TensorFlow Serving does, by running a SavedModel.

Both turn what comes in into the API's PredictRequest and keep it in `requests`. `faults` are taken
one a request, as long as there are any; the requests after them are answered. Questions about the
model have faults of their own; `questions` has the versions they named, or None.
"""

import base64
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

MODEL = "detector"

CLOSE = "close the connection"
HANG = "do not answer"


class _Unrun:
    """A signature for servers that are asked, but answer only with faults."""

    structured_input_signature = (
        (),
        {
            "image_bytes": tf.TensorSpec([None], tf.string),
            "proposals": tf.TensorSpec([None, None, 4], tf.float32),
        },
    )


UNRUN = {"serving_default": _Unrun()}


def complaint(error: tf.errors.InvalidArgumentError) -> str:
    """What a model server says: Python puts an account of the graph before it."""
    return error.message[error.message.index("assertion failed") :]


def run(served, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """What a model server answers."""
    function = served[request.model_spec.signature_name]
    specs = function.structured_input_signature[1]
    assert set(request.inputs) == set(specs)
    for name, value in request.inputs.items():
        assert value.dtype == specs[name].dtype.as_datatype_enum, name
    inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
    response = predict_pb2.PredictResponse(model_spec=request.model_spec)
    for name, value in function(**inputs).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


def signature_map(served) -> get_model_metadata_pb2.SignatureDefMap:
    """What a model server knows of a model."""
    found = get_model_metadata_pb2.SignatureDefMap()
    for signature, function in served.items():
        for name, spec in function.structured_input_signature[1].items():
            info = found.signature_def[signature].inputs[name]
            info.name = f"{signature}_{name}:0"
            info.dtype = spec.dtype.as_datatype_enum
            info.tensor_shape.CopyFrom(spec.shape.as_proto())
    return found


class _Server:
    def __init__(self, served, faults=(), port=0, faults_of_questions=()):
        self.requests = []
        self.questions = []
        self.faults_of_questions = list(faults_of_questions)
        self.headers = []  # of requests by REST
        self.port = port
        self._served = served
        self._faults = list(faults)
        self._end = threading.Event()

    def __exit__(self, *exception):
        self._end.set()  # of the requests that hang
        self._stop()

    def _fault(self):
        return self._faults.pop(0) if self._faults else None

    def _fault_of_question(self, version):
        self.questions.append(version)
        return self.faults_of_questions.pop(0) if self.faults_of_questions else None


class RestServer(_Server):
    """A fault is CLOSE, HANG or (status, body) or (status, body, headers)."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1/models/{MODEL}"

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                server._answer(self)

            def do_GET(self):
                server._tell(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def _stop(self):
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        assert handler.headers["Content-Type"] == "application/json"
        match = re.fullmatch(r"/v1/models/([^/:]+)(/versions/(\d+))?:predict", handler.path)
        if match[1] != MODEL:
            error = f"Servable not found for request: Latest({match[1]})"
            return self._send(handler, 404, json.dumps({"error": error}).encode())
        self.requests.append(self._request(match, json.loads(body)))
        self.headers.append(handler.headers)
        if not self._fails(handler, self._fault()):
            try:
                response = run(self._served, self.requests[-1])
            except tf.errors.InvalidArgumentError as error:
                body = json.dumps({"error": complaint(error)}).encode()
                return self._send(handler, 400, body)
            outputs = {k: tf.make_ndarray(v).tolist() for k, v in response.outputs.items()}
            self._send(handler, 200, json.dumps({"outputs": outputs}, indent=4).encode())

    def _tell(self, handler):
        """By the rules of https://www.tensorflow.org/tfx/serving/api_rest#model_metadata_api."""
        match = re.fullmatch(rf"/v1/models/{MODEL}(/versions/(\d+))?/metadata", handler.path)
        self.headers.append(handler.headers)
        if not self._fails(handler, self._fault_of_question(match[2] and int(match[2]))):
            known = json_format.MessageToDict(
                signature_map(self._served), preserving_proto_field_name=True
            )
            spec = {"name": MODEL, "signature_name": "", "version": "1"}
            content = {"model_spec": spec, "metadata": {"signature_def": known}}
            self._send(handler, 200, json.dumps(content, indent=1).encode())

    def _fails(self, handler, fault):
        """Whether there is a fault, which then has happened."""
        if fault == HANG:
            self._end.wait(30)
        elif fault == CLOSE:
            handler.connection.close()
        elif fault:
            self._send(handler, *fault)
        return bool(fault)

    def _request(self, match, content):
        """By the rules of https://www.tensorflow.org/tfx/serving/api_rest#predict_api."""
        assert set(content) == {"signature_name", "inputs"}
        request = predict_pb2.PredictRequest()
        request.model_spec.name = match[1]
        request.model_spec.signature_name = content["signature_name"]
        if match[3]:
            request.model_spec.version.value = int(match[3])
        specs = self._served[content["signature_name"]].structured_input_signature[1]
        for name, value in content["inputs"].items():
            if specs[name].dtype == tf.string:
                assert all(list(element) == ["b64"] for element in value)
                value = [base64.b64decode(element["b64"], validate=True) for element in value]
            else:
                value = np.array(value, specs[name].dtype.as_numpy_dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return request

    @staticmethod
    def _send(handler, status, body, headers=()):
        handler.send_response(status)
        for name, value in dict(headers).items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


class GrpcServer(_Server, prediction_service_pb2_grpc.PredictionServiceServicer):
    """A fault is HANG, (status code, message) or a response."""

    @property
    def url(self):
        return f"grpc://127.0.0.1:{self.port}/{MODEL}"

    def __enter__(self):
        self._grpc = grpc.server(ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._grpc)
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{self.port}")
        self._grpc.start()
        return self

    def _stop(self):
        self._grpc.stop(None).wait()

    def Predict(self, request, context):
        if request.model_spec.name != MODEL:
            error = f"Servable not found for request: Latest({request.model_spec.name})"
            context.abort(grpc.StatusCode.NOT_FOUND, error)
        self.requests.append(request)
        fault = self._fault()
        if fault == HANG:
            self._end.wait(30)
        elif isinstance(fault, predict_pb2.PredictResponse):
            return fault
        elif fault:
            context.abort(*fault)
        try:
            return run(self._served, request)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, complaint(error))

    def GetModelMetadata(self, request, context):
        assert request.model_spec.name == MODEL
        assert list(request.metadata_field) == ["signature_def"]  # the only one that servers know
        spec = request.model_spec
        fault = self._fault_of_question(spec.version.value if spec.HasField("version") else None)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        if fault == HANG:
            self._end.wait(30)
        elif isinstance(fault, get_model_metadata_pb2.GetModelMetadataResponse):
            return fault
        elif fault:
            context.abort(*fault)
        response.metadata["signature_def"].Pack(signature_map(self._served))
        return response
