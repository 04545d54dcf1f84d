"""Export of a detector as a SavedModel that serves anywhere.

`models/detector/<version>/` holds the graph with its three signatures
(`keras_frcnn.export.signatures`), and in `assets.extra/`, which loaders leave alone, `model.json`
(class names, the detector's kind and settings, versions, fingerprint of the weights) and the
warm-up requests of TensorFlow Serving.
"""

import contextlib
import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import keras_frcnn
from keras_frcnn.custom_ops import portable_ops
from keras_frcnn.custom_ops.library import load_library
from keras_frcnn.detection.detector import SETTINGS, Detector
from keras_frcnn.detection.multiscale import MultiScaleDetector
from keras_frcnn.errors import InputError
from keras_frcnn.export import warmup
from keras_frcnn.export.frozen import traced
from keras_frcnn.export.inputs import MAX_PIXELS, MAX_PROPOSALS
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.signatures import signatures
from keras_frcnn.export.svd import compress
from keras_frcnn.export.versions import check_version, publish, remote_version, unpublished
from keras_frcnn.files import write_json
from keras_frcnn.remote import is_remote, sent

OP_NAMESPACE = "KerasFrcnn"  # of the ops in custom_ops

# TensorFlow's own ops that need the Python process that made them.
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def export_saved_model(
    detector: Detector,
    to: str | os.PathLike,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    overwrite: bool = False,
    ops: str = "portable",
    precision: str = "float32",
    svd: Mapping | None = None,
    max_pixels: int = MAX_PIXELS,
    max_proposals: int | None = None,
    settings: Mapping | None = None,
) -> Path | str:
    """Write `to/<version>/`, whole or not at all.

    Args:
        detector: what is exported; it stays as it is.
        to: the folder of the model's versions, made where it does not exist, or its URL (`gs://`):
            there the version appears file by file, `saved_model.pb` last (`remote.sent`).
        class_names: of classes 1..K; those the detector knows by default.
        version: a positive number; the next one that is free by default.
        overwrite: replace `version` if it exists (see `versions.publish`).
        ops: "portable": TensorFlow's built-in ops only; "custom": RoI pooling by the op of
            `custom_ops`, which the server must have loaded.
        precision: "float32", or "bfloat16" for processors that multiply it.
        svd: arguments of `svd.compress`, such as `{"ranks": {"fc6": 1024, "fc7": 256}}`.
        max_pixels: the largest image, height times width, that `image_bytes` may hold; where the
            detector makes its own proposals, that `images` may hold as well.
        max_proposals: how many may run at once: of an image of `image_bytes`, of all `images`;
            20,000 by default. Not for a detector that makes its own.
        settings: of the run, to be noted in `model.json`.

    Returns:
        The folder written.

    Raises:
        InputError: an argument is impossible, the version exists, `to` cannot be written, or the
            op cannot be built.
    """
    if is_remote(to):
        version = remote_version(os.fspath(to), version, overwrite)
        with sent(os.fspath(to)) as folder:
            export_saved_model(
                detector,
                folder,
                class_names,
                version,
                ops=ops,
                precision=precision,
                svd=svd,
                max_pixels=max_pixels,
                max_proposals=max_proposals,
                settings=settings,
            )
        return f"{to}/{version}"
    to = Path(to)
    class_names = detector.class_names if class_names is None else class_names
    _check(class_names, detector, version, overwrite, ops, precision, max_pixels, max_proposals)
    check_version(to, version, overwrite)
    if detector.needs_proposals and max_proposals is None:
        max_proposals = MAX_PROPOSALS
    model = detector.model if svd is None else compress(detector.model, **svd)
    model = with_precision(model, precision)
    with contextlib.ExitStack() as context:
        if ops == "portable":
            context.enter_context(portable_ops())
        served = traced(detector, model)
        functions = {
            name: function.get_concrete_function()
            for name, function in signatures(served, max_pixels, max_proposals).items()
        }
    module = tf.Module()
    module.variables_of_network = served.variables
    options = tf.saved_model.SaveOptions(
        namespace_whitelist=[OP_NAMESPACE],
        experimental_custom_gradients=False,  # a server does not train
    )
    content = {
        "class_names": list(class_names),
        "detector": _described(detector),
        "export": {
            "ops": ops,
            "precision": precision,
            "svd": _ranks(detector.model, model),
            "max_pixels": max_pixels,
            "max_proposals": max_proposals,
        },
        "training": settings,
        "versions": {
            "keras_frcnn": keras_frcnn.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "weights_sha256": fingerprint(detector.model),
    }
    with unpublished(to) as folder:
        try:
            tf.saved_model.save(module, str(folder), signatures=functions, options=options)
            extra = folder / "assets.extra"
            extra.mkdir()
            write_json(extra / "model.json", content)
            warmup.write_warmup(extra / warmup.FILE_NAME, detector)
        except (OSError, tf.errors.OpError) as error:
            said = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", str(error)).strip()  # TensorFlow's nodes
            raise InputError(f"cannot write to {to}: {said.splitlines()[0]}") from error
        if ops == "portable":
            check_portable(folder)
        return publish(folder, version, overwrite)


def fingerprint(model: keras.Model) -> str:
    """SHA-256 over path, type, shape and bytes of the weights: the same for the same training.

    It is taken of the model as trained, before compression and conversion.
    """
    digest = hashlib.sha256()
    for weight in sorted(model.weights, key=lambda w: w.path):
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{weight.path} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def used_ops(folder: str | os.PathLike) -> set[str]:
    """The names of all ops in a SavedModel's graph and its functions."""
    path = Path(folder) / "saved_model.pb"
    graph = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs[0].graph_def
    nodes = [graph.node, *(function.node_def for function in graph.library.function)]
    return {node.op for part in nodes for node in part}


def check_portable(folder: str | os.PathLike) -> None:
    """Raise RuntimeError if a SavedModel needs more than TensorFlow: other ops, or Python."""
    # `tf.raw_ops` has the ops that TensorFlow is built with, and none that were loaded into it.
    foreign = {op for op in used_ops(folder) if not hasattr(tf.raw_ops, op)}
    if needed := sorted(foreign | (used_ops(folder) & set(PYTHON_OPS))):
        raise RuntimeError(f"the graph is not portable: it needs the ops {', '.join(needed)}")


def _check(class_names, detector, version, overwrite, ops, precision, max_pixels, max_proposals):
    if isinstance(detector, MultiScaleDetector):
        raise InputError(
            "detector: a SavedModel has one scale, a MultiScaleDetector has several; export a "
            "Detector of its model"
        )
    classes = detector.model.get_layer("bbox_pred").output.shape[2]
    if len(class_names) != classes:
        raise InputError(f"class_names: {len(class_names)} names for a model of {classes} classes")
    if version is not None and version < 1:
        raise InputError(f"version: must be a positive number, not {version}")
    if overwrite and version is None:
        raise InputError("overwrite: say which version")
    if ops not in ("portable", "custom"):
        raise InputError(f"ops: {ops!r} is not portable or custom")
    if ops == "custom" and load_library() is None:
        raise InputError("ops: the custom op cannot be built here; export with portable ops")
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision: {precision!r} is not float32 or bfloat16")
    if max_proposals is not None and not detector.needs_proposals:
        raise InputError(
            "max_proposals: is for detectors that are given proposals; this one makes its own, "
            "leave it out"
        )
    for name, value in (("max_pixels", max_pixels), ("max_proposals", max_proposals)):
        if value is not None and value < 1:
            raise InputError(f"{name}: must be positive, not {value}")


def _described(detector):
    """The detector's settings for `model.json`, and how it makes proposals if it does."""
    about = {name: getattr(detector, name) for name in ("kind", *SETTINGS)}
    if not detector.needs_proposals:
        about["options"] = dataclasses.asdict(detector.options)
    return about


def _ranks(original, model):
    """The rank of each layer that was split in two."""
    present = {layer.name: layer for layer in model.layers}
    split = [layer.name for layer in original.layers if layer.name not in present]
    return {name: present[f"{name}_v"].units for name in split}
