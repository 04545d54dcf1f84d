"""Prediction requests in JSON over HTTP, to TensorFlow Serving's REST API.

https://www.tensorflow.org/tfx/serving/api_rest, in its columnar format. Nothing but the standard
library and NumPy is needed.
"""

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.export.retries import Unavailable, reason

# Too many requests, and a proxy or a server without a free place in its queue.
UNAVAILABLE = (429, 502, 503)


class RestTransport:
    """Asks one model.

    Args:
        url: of the model, such as `http://host:8501/v1/models/detector/versions/3`.
        timeout: seconds without an answer after which a request is given up.
    """

    def __init__(self, url: str, timeout: float):
        self._url = url
        self._timeout = timeout

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray | list[bytes]]) -> dict:
        """The outputs of a signature, by name, as numbers and lists of them.

        Raises:
            Unavailable: asking again may help.
            InputError: the model or the server refuses, or does not answer in time.
        """
        columns = {name: _to_json(value) for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        try:
            status, text = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(getattr(error, "reason", error)) from error
        if status == 200:
            try:
                return json.loads(text)["outputs"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self._url} answers what is no prediction") from error
        message = _error_message(text)
        if status in UNAVAILABLE:
            raise Unavailable(f"{self._url} is not available now: {message}")
        if status == 404:
            raise InputError(f"{self._url}: there is no such model: {message}")
        if status == 400:
            raise InputError(f"{self._url} refuses the request: {message}")
        raise InputError(f"{self._url} answers with HTTP status {status}: {message}")

    def _post(self, body):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}:predict", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def _failure(self, cause):
        """The exception for what went wrong below HTTP."""
        if isinstance(cause, TimeoutError):
            return InputError(f"{self._url}: no answer within {self._timeout:g} seconds")
        if isinstance(cause, ConnectionError | http.client.IncompleteRead):
            return Unavailable(
                f"{self._url} cannot be reached ({cause}); is the server running, and is this its "
                "port for REST (8501 unless set)?"
            )
        if isinstance(cause, http.client.HTTPException):
            return InputError(
                f"{self._url} does not speak HTTP; is this its port for REST (8501 unless set)?"
            )
        return InputError(f"{self._url} cannot be reached: {cause}")


def _to_json(value):
    if isinstance(value, np.ndarray):
        return value.tolist()  # decimals that give the same float32 again
    return [{"b64": base64.b64encode(element).decode()} for element in value]


def _error_message(text: bytes) -> str:
    """The server's words, or those of what stands before it."""
    try:
        message = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        message = text[:200].decode("utf-8", "replace")
    return reason(message)
