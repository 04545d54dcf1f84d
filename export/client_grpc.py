"""Requests over gRPC, by the messages of `tensorflow-serving-api`: predictions, model inputs."""

import math
from collections.abc import Mapping

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_frcnn.errors import InputError
from keras_frcnn.export.retries import MAX_ANSWER, Unavailable, reason

SIGNATURES = "signature_def"  # the only kind of metadata that servers have

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER),
    # A channel tries to connect by itself, after up to two minutes. Each of our attempts should.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
)


class GrpcTransport:
    """Asks one model.

    Args:
        target: host and port, such as `host:8500`; not encrypted.
        model: its name in the server's configuration.
        version: of the model; None for the server's choice, the newest.
        timeout: seconds after which a request is given up.
        url: what messages call the server.
    """

    def __init__(self, target: str, model: str, version: int | None, timeout: float, url: str):
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            grpc.insecure_channel(target, OPTIONS)
        )
        self._model = model
        self._version = version
        self._timeout = timeout
        self._url = url

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray | list[bytes]]) -> dict:
        """The outputs of a signature as arrays, by name.

        Raises:
            Unavailable: asking again may help.
            InputError: the model or the server refuses, or does not answer in time.
        """
        request = predict_request(signature, inputs, self._model, self._version)
        try:
            response = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._failure(error.code(), error.details()) from error
        try:
            return {name: _to_array(value) for name, value in response.outputs.items()}
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._url} answers what is no prediction") from error

    def inputs(self, signature: str) -> set[str]:
        """The names of a signature's inputs; none where the server does not tell them.

        Raises:
            Unavailable: asking again may help.
            InputError: the server does not answer in time.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURES])
        _address(request.model_spec, self._model, self._version)
        try:
            response = self._stub.GetModelMetadata(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise self._failure(error.code(), error.details()) from error
            return set()
        found = get_model_metadata_pb2.SignatureDefMap()
        try:
            response.metadata[SIGNATURES].Unpack(found)
        except DecodeError:
            return set()
        return set(found.signature_def[signature].inputs)

    def _failure(self, code, details):
        message = reason(details)
        if code == grpc.StatusCode.UNAVAILABLE:
            return Unavailable(
                f"{self._url} is not available now ({message}); is the server running, and is this "
                "its port for gRPC (8500 unless set)?"
            )
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return InputError(f"{self._url}: no answer within {self._timeout:g} seconds")
        if code == grpc.StatusCode.NOT_FOUND:
            return InputError(f"{self._url}: there is no such model: {message}")
        if code == grpc.StatusCode.INVALID_ARGUMENT:
            return InputError(f"{self._url} refuses the request: {message}")
        return InputError(f"{self._url} answers with gRPC status {code.name}: {message}")


def _to_array(value):
    # A single number may stand for a tensor of any size.
    if math.prod(dim.size for dim in value.tensor_shape.dim) > MAX_ANSWER // 4:
        raise ValueError("too large")
    return tf.make_ndarray(value)


def predict_request(
    signature: str,
    inputs: Mapping[str, np.ndarray | list[bytes]],
    model: str,
    version: int | None = None,
) -> predict_pb2.PredictRequest:
    """The message for the tensors of a signature, by name."""
    request = predict_pb2.PredictRequest()
    _address(request.model_spec, model, version)
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def _address(spec, model, version):
    spec.name = model
    if version is not None:
        spec.version.value = version
