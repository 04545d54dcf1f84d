"""The detectors of a large work: an export, or a run, by where it lies.

An `Export` answers as a server does that has it loaded: its results are those of `keras-frcnn
client`, to the bit. A `Run` detects as `keras-frcnn detect` does, to the bit; all machines must
reach its folder by the same path.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frcnn.bulk.search import upright_size
from keras_frcnn.data.images import TRAINING_FORMATS, open_image, read_header
from keras_frcnn.detection.detections import Detections
from keras_frcnn.errors import InputError
from keras_frcnn.models.heads import makes_proposals
from keras_frcnn.remote import local

# Detections in an image: its path, the bytes of its file, its proposals [P, 4] where some are
# needed. Raises `InputError` where that is not possible.
Detect = Callable[[str, bytes, np.ndarray | None], Detections]

_ABOUT = "assets.extra/model.json"  # of an export


@dataclass(frozen=True)
class Export:
    """A SavedModel by `export_saved_model`."""

    folder: str  # of a version
    needs_proposals: bool
    class_names: tuple[str, ...]
    ops: str  # "portable" or "custom"
    method: str  # tells it from other models

    def load(self) -> Detect:
        """The detector, loaded by TensorFlow from wherever that reads."""
        import tensorflow as tf

        from keras_frcnn.export.client import SIGNATURE, detections_of, inputs_of

        if self.ops == "custom":
            from keras_frcnn.custom_ops.library import load_library

            load_library()
        try:
            # TensorFlow reads gs:// by itself; what else is far away is copied here first.
            near = self.folder.startswith("gs://")
            loaded = tf.saved_model.load(self.folder if near else str(local(self.folder)))
        except (OSError, ValueError, tf.errors.OpError) as error:
            reason = str(error).split("\n")[0]
            raise InputError(f"{self.folder}: cannot be loaded ({reason})") from error

        def detect(path, content, proposals):
            header = read_header(path, content)
            if header.format not in TRAINING_FORMATS:
                raise InputError(f"{path}: is {header.format}; exports take JPEG and PNG")
            inputs = {k: tf.constant(v) for k, v in inputs_of(content, proposals).items()}
            try:
                # Not kept by itself: the signature does not keep the variables alive.
                outputs = loaded.signatures[SIGNATURE](**inputs)
            except tf.errors.InvalidArgumentError as error:
                raise InputError(f"{path}: {_words(error.message)}") from error
            outputs = {name: value.numpy() for name, value in outputs.items()}
            found = detections_of(outputs, *upright_size(header), self.folder)
            return dataclasses.replace(found, class_names=self.class_names)

        return detect


@dataclass(frozen=True)
class Run:
    """The newest checkpoint of a run directory."""

    folder: str
    needs_proposals: bool
    method: str

    def load(self) -> Detect:
        """The detector, if the run has not been trained further since the work began."""
        from keras_frcnn.export.inputs import MAX_PIXELS
        from keras_frcnn.runs.directory import load_detector

        detector, _ = load_detector(self.folder)
        if _newest(self.folder) != self.method:
            raise InputError(f"{self.folder}: has been trained further; export it, and name that")

        def detect(path, content, proposals):
            header = read_header(path, content)
            if header.height * header.width > MAX_PIXELS:
                raise InputError(
                    f"{path}: has {header.width} x {header.height} pixels, more than {MAX_PIXELS:,}"
                )
            given = () if proposals is None else (proposals,)
            return detector.detect(open_image(path, content), *given)

        return detect


def model_at(folder: str, read: Callable[[str], bytes]) -> Export | Run:
    """What lies in a folder.

    Args:
        folder: a run directory, or the folder of an export's version.
        read: gives the bytes of a file.

    Raises:
        InputError: it is neither.
    """
    folder = folder.rstrip("/")
    if os.path.isfile(f"{folder}/config.json"):
        from keras_frcnn.runs.directory import load_settings

        kind = load_settings(Path(folder)).detector
        if kind == "rpn":
            raise InputError(f"{folder}: is a region proposal network alone, which detects nothing")
        return Run(folder, not makes_proposals(kind), _newest(folder))
    try:
        content = read(f"{folder}/{_ABOUT}")
    except Exception as error:  # each file system has its own
        raise InputError(
            f"{folder}: is neither a run nor the folder of an export's version, such as "
            f"models/photos/1 (it has no {_ABOUT})"
        ) from error
    try:
        about = json.loads(content)
        return Export(
            folder,
            not makes_proposals(about["detector"].get("kind", "fast_rcnn")),
            tuple(about["class_names"]),
            about["export"]["ops"],
            f"export {hashlib.sha256(content).hexdigest()}",
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder}/{_ABOUT}: does not describe an export ({error})") from error


def _words(message: str) -> str:
    """What the graph says, without TensorFlow's nodes."""
    return re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", message).strip().split("\n")[0].strip()


def _newest(run: str) -> str:
    from keras_frcnn.runs.checkpoints import checkpoint_paths

    paths = checkpoint_paths(Path(run))
    if not paths:
        raise InputError(f"{run}: no checkpoint yet; train first (keras-frcnn train --out {run})")
    try:
        return f"checkpoint {hashlib.sha256(paths[0].read_bytes()).hexdigest()}"
    except OSError as error:
        raise InputError(f"{paths[0]}: cannot be read ({error.strerror})") from error
