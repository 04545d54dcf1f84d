"""A client of exported detectors behind TensorFlow Serving, by REST or gRPC.

The file goes to the server as it is, with proposals in pixels of the upright image unless the model
makes its own; the contract is in `keras_frcnn.export.signatures`. TensorFlow is imported only for
gRPC.
"""

import json
import os
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_frcnn import run_length
from keras_frcnn.data.images import TRAINING_FORMATS, TRANSPOSED, read_header
from keras_frcnn.detection.detections import Detections
from keras_frcnn.detection.paste import paste
from keras_frcnn.errors import InputError, shown
from keras_frcnn.export.client_rest import RestTransport
from keras_frcnn.export.retries import with_retries
from keras_frcnn.models import heads

SIGNATURE = "serving_default"
IMAGE, PROPOSALS = "image_bytes", "proposals"  # its inputs
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
MASKS = "detection_masks"  # an output of Mask R-CNN, probabilities in the frames of the boxes
_ROUNDING = 1e-3  # of a box that ends at the border of the image

_REST = re.compile(
    r"(?P<scheme>https?://)((?P<login>[^/@]*)@)?"
    r"(?P<model>[^/@]+(/.*)?/v1/models/[^/:]+(/versions/[0-9]+)?)"
)
_GRPC = re.compile(r"grpc://(?P<host>[^/@]+)/(?P<model>[^/:]+)(/versions/(?P<version>[0-9]+))?")

MAX_TIMEOUT = 86_400.0  # seconds, a day
MAX_CLASSES = 100_000  # a larger number of a class is no class, and names are made up to it


class Client:
    """Detects objects in image files by asking a server.

    Args:
        url: of the model: `http://host:8501/v1/models/NAME` for REST (or https), or
            `grpc://host:8500/NAME`; with `/versions/N` behind it for a certain version.
            `http://user:password@host` is for a proxy in front of it; messages leave that out.
        timeout: seconds after which a request is given up.
        retries: how often to ask again while the server cannot be reached or is too busy.

    Raises:
        InputError: `url` is not like these, or a number is impossible.
    """

    def __init__(self, url: str, timeout: float = 60.0, retries: int = 4):
        if not 0 < timeout <= MAX_TIMEOUT:
            raise InputError(
                f"timeout: must be more than 0 and at most {MAX_TIMEOUT:.0f} seconds, not {timeout}"
            )
        if retries < 0:
            raise InputError(f"retries: must not be negative, not {retries}")
        self._retries = retries
        url = url.rstrip("/")
        if rest := _REST.fullmatch(url):
            self.url = rest["scheme"] + rest["model"]
            login = rest["login"] and urllib.parse.unquote(rest["login"])
            self._transport = RestTransport(self.url, timeout, login)
        elif grpc := _GRPC.fullmatch(url):
            from keras_frcnn.export.client_grpc import GrpcTransport

            self.url = url
            version = grpc["version"] and int(grpc["version"])
            self._transport = GrpcTransport(grpc["host"], grpc["model"], version, timeout, self.url)
        else:
            url = shown(re.sub("//.*@", "//...@", url))  # without a password
            raise InputError(
                f"url: {url} is not like http://host:8501/v1/models/detector or "
                "grpc://host:8500/detector"
            )

    def needs_proposals(self) -> bool:
        """Whether the model takes proposals, by what the server says of its inputs.

        A server that tells nobody about its models is taken for one of a model that does, as all
        once did.

        Raises:
            InputError: the server cannot be reached or does not answer in time.
        """
        names = with_retries(lambda: self._transport.inputs(SIGNATURE), self._retries)
        return IMAGE not in names or PROPOSALS in names

    def detect(self, path: str | os.PathLike, proposals: np.ndarray | None = None) -> Detections:
        """Detections in an image file, best first, in pixels of the upright image.

        Args:
            path: a JPEG or PNG file.
            proposals: float32 [R, 4], (x1, y1, x2, y2) in pixels of the upright image, which is
                what `keras_frcnn.data.images.open_image` returns; None for a model that makes its
                own.

        Raises:
            InputError: the file is neither, or the server refuses it, has no such model, cannot
                be reached or answers with something else than detections.
        """
        header = read_header(path)
        if header.format not in TRAINING_FORMATS:
            raise InputError(f"{path}: is {header.format}; the server takes JPEG and PNG")
        size = header.height, header.width
        height, width = size[::-1] if header.orientation in TRANSPOSED else size
        inputs = request_inputs(path, proposals)
        try:
            outputs = with_retries(
                lambda: self._transport.predict(SIGNATURE, inputs), self._retries
            )
            return detections_of(outputs, height, width, self.url)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def request_inputs(path: str | os.PathLike, proposals: np.ndarray | None = None) -> dict:
    """The inputs of `serving_default` for an image file and its proposals [R, 4], if any."""
    return inputs_of(Path(path).read_bytes(), proposals)


def inputs_of(content: bytes, proposals: np.ndarray | None = None) -> dict:
    """The inputs of `serving_default` for the bytes of an image file; see `request_inputs`."""
    inputs = {IMAGE: [content]}
    if proposals is not None:
        proposals = np.asarray(proposals, np.float32).reshape(1, -1, 4)
        if not proposals.size:
            # JSON cannot say that no rows have four columns: a row of padding.
            proposals = np.full((1, 1, 4), -1, np.float32)
        inputs[PROPOSALS] = proposals
    return inputs


def class_names(text: str) -> tuple[str, ...]:
    """The names in `a,b,c`, or in the file `model.json` of an export if `text` ends in `.json`.

    Raises:
        InputError: the file cannot be read or holds no class names.
    """
    if not text.endswith(".json"):
        return tuple(name.strip() for name in text.split(","))
    names = _described(text).get("class_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{text}: holds no class_names; an export has assets.extra/model.json")
    return tuple(names)


def training_settings(path: str) -> dict:
    """The settings of the run that an export was made of, from its `model.json`; may be empty.

    Raises:
        InputError: the file cannot be read.
    """
    settings = _described(path).get("training")
    return settings if isinstance(settings, dict) else {}


def makes_proposals(path: str) -> bool:
    """Whether an export makes its own proposals, by its `model.json`.

    Raises:
        InputError: the file cannot be read.
    """
    detector = _described(path).get("detector")
    # Exports that do not say so are older than the first of this kind.
    return isinstance(detector, dict) and heads.makes_proposals(detector.get("kind", "fast_rcnn"))


def _described(path: str) -> dict:
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def detections_of(outputs: Mapping, height: int, width: int, url: str) -> Detections:
    """The first row of an answer in pixels; its boxes are fractions (ymin, xmin, ymax, xmax).

    Masks are pasted into the image.

    Args:
        outputs: of `serving_default`, by name.
        height, width: of the upright image.
        url: what messages call the server, or the model.

    Raises:
        InputError: the outputs are not those of an exported detector.
    """
    complaint = f"{url} answers, but not as an exported detector"
    try:
        boxes, scores, classes, count = (np.asarray(outputs[n], np.float32) for n in OUTPUTS)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{complaint}: it needs numbers called {', '.join(OUTPUTS)}") from error
    shapes = boxes.shape, scores.shape, classes.shape, count.shape
    d = scores.shape[-1] if scores.ndim else 0
    if shapes != ((1, d, 4), (1, d), (1, d), (1,)):
        raise InputError(f"{complaint}: the outputs have the shapes {list(map(list, shapes))}")
    if not (0 <= count[0] <= d and count[0] == int(count[0])):
        raise InputError(f"{complaint}: num_detections is {count[0]} of {d}")
    n = int(count[0])
    boxes, scores, classes = boxes[0, :n], scores[0, :n], classes[0, :n]
    is_inside = (boxes >= -_ROUNDING) & (boxes <= 1 + _ROUNDING)  # also no NaN
    if not (is_inside.all() and np.isfinite(scores).all()):
        raise InputError(f"{complaint}: boxes must be fractions of the image and scores finite")
    if not ((classes >= 1) & (classes <= MAX_CLASSES) & (classes == np.floor(classes))).all():
        raise InputError(f"{complaint}: classes must be whole numbers from 1 to {MAX_CLASSES}")
    ymin, xmin, ymax, xmax = boxes.T
    pixels = np.stack([xmin * width, ymin * height, xmax * width, ymax * height], axis=1)
    if MASKS not in outputs:
        return Detections(pixels, scores, classes)
    masks = np.asarray(outputs[MASKS], np.float32)
    m = masks.shape[-1] if masks.ndim else 0
    if masks.shape != (1, d, m, m) or not m or not np.isfinite(masks).all():
        raise InputError(f"{complaint}: {MASKS} has the shape {list(masks.shape)}, or no numbers")
    pairs = zip(masks[0, :n], pixels, strict=True)
    pasted = (run_length.from_bitmap(paste(mask, box, height, width)) for mask, box in pairs)
    return Detections(pixels, scores, classes, (), tuple(pasted), (height, width))
