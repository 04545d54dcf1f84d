"""Requests in JSON over HTTP, to TensorFlow Serving's REST API: predictions and a model's inputs.

https://www.tensorflow.org/tfx/serving/api_rest, in its columnar format. Nothing but the standard
library and NumPy is needed.
"""

import base64
import http.client
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

import numpy as np

from keras_frcnn.errors import InputError
from keras_frcnn.export.retries import MAX_ANSWER, Unavailable, reason

# Too many requests, and a proxy or a server without a free place in its queue.
UNAVAILABLE = (429, 502, 503)


class _AsTheyAre(urllib.request.HTTPErrorProcessor):
    """Answers of every status, and no redirects: they could send images to another host."""

    def http_response(self, request, response):
        return response

    https_response = http_response


class RestTransport:
    """Asks one model.

    Args:
        url: of the model, such as `http://host:8501/v1/models/detector/versions/3`.
        timeout: seconds after which a request is given up, however much of its answer is there.
        login: `user:password` for a proxy in front of the server.
    """

    def __init__(self, url: str, timeout: float, login: str | None = None):
        self._url = url
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json"}
        if login is not None:
            self._headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        self._opener = urllib.request.build_opener(_AsTheyAre)

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray | list[bytes]]) -> dict:
        """The outputs of a signature, by name, as numbers and lists of them.

        Raises:
            Unavailable: asking again may help.
            InputError: the model or the server refuses, or does not answer in time.
        """
        columns = {name: _to_json(value) for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        status, text = self._ask(":predict", body)
        if status == 200:
            try:
                return json.loads(text)["outputs"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(f"{self._url} answers what is no prediction") from error
        message = _error_message(text)
        if status == 404:
            raise InputError(f"{self._url}: there is no such model: {message}")
        if status == 400:
            raise InputError(f"{self._url} refuses the request: {message}")
        raise InputError(f"{self._url} answers with HTTP status {status}: {message}")

    def inputs(self, signature: str) -> set[str]:
        """The names of a signature's inputs; none where the server does not tell them.

        Raises:
            Unavailable: asking again may help.
            InputError: the server cannot be reached or does not answer in time.
        """
        status, text = self._ask("/metadata")
        if status != 200:
            return set()
        try:
            signatures = json.loads(text)["metadata"]["signature_def"]["signature_def"]
            return set(dict(signatures[signature]["inputs"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return set()

    def _ask(self, what: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and text of the answer to a POST of `body`, or a GET, of `what` of the model."""
        try:
            status, headers, text = self._in_time(what, body)
        except InputError:
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._failure(getattr(error, "reason", error)) from error
        if 300 <= status < 400:
            to = reason(headers.get("Location", "another address"))
            raise InputError(f"{self._url} sends the request on to {to}; ask there if you trust it")
        if status in UNAVAILABLE:
            raise Unavailable(f"{self._url} is not available now: {_error_message(text)}")
        return status, text

    def _in_time(self, what, body):
        """Status, headers and body of the answer."""
        results = queue.SimpleQueue()

        def ask():
            try:
                results.put(self._exchange(what, body))
            except Exception as error:
                results.put(error)

        # A socket's own time-out is of each packet, and a server may send a byte in each. The
        # thread ends by that time-out or with the process.
        threading.Thread(target=ask, daemon=True).start()
        try:
            result = results.get(timeout=self._timeout)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(result, Exception):
            raise result
        return result

    def _exchange(self, what, body):
        request = urllib.request.Request(self._url + what, body, self._headers)
        deadline = time.monotonic() + self._timeout
        with self._opener.open(request, timeout=self._timeout) as answer:
            expected = answer.length  # None: until the server closes, or in chunks
            parts, size = [], 0
            while size != expected and (part := answer.read1(1 << 16)):
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER:
                    raise InputError(f"{self._url} answers with more than {MAX_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
            if expected is not None and size < expected:
                raise http.client.IncompleteRead(b"", expected - size)
            return answer.status, answer.headers, b"".join(parts)

    def _failure(self, cause):
        """The exception for what went wrong below HTTP."""
        if isinstance(cause, TimeoutError):
            return InputError(f"{self._url}: no answer within {self._timeout:g} seconds")
        if isinstance(cause, ConnectionError | http.client.IncompleteRead):
            return Unavailable(
                f"{self._url} cannot be reached ({cause}); is the server running, and is this its "
                "port for REST (8501 unless set)?"
            )
        if isinstance(cause, http.client.HTTPException | ValueError):
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
    except (ValueError, KeyError, TypeError, RecursionError):
        message = text[:200].decode("utf-8", "replace")
    return reason(message)
