"""Export of a detector as a SavedModel that needs nothing but TensorFlow."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_frcnn.custom_ops import portable_ops
from keras_frcnn.detection import Detector
from keras_frcnn.errors import InputError


def export_saved_model(
    detector: Detector, class_names: Sequence[str], to: str | os.PathLike, version: int = 1
) -> Path:
    """Write `to/<version>/`, a SavedModel for TensorFlow Serving.

    Its one signature, `serving_default`, takes `images` (uint8 RGB [N, H, W, 3]) and `proposals`
    (float32 [N, R, 4] as (x1, y1, x2, y2) in pixels, short rows padded with -1) and returns what
    models of the TensorFlow Object Detection API return: `detection_boxes` float32 [N, D, 4]
    (ymin, xmin, ymax, xmax, as fractions of the image), `detection_scores` [N, D],
    `detection_classes` [N, D] (1..K, as float32) and `num_detections` [N]. The graph holds
    TensorFlow's own ops alone. The class names are in `assets.extra/classes.json`.

    Returns:
        The folder written.

    Raises:
        InputError: the version exists already, or `to` cannot be written.
    """
    to = Path(to)
    target = to / str(version)
    if target.exists():
        raise InputError(f"{target} exists: remove it or export to another folder")
    try:
        to.mkdir(parents=True, exist_ok=True)
        # Moved into place when complete: a server that watches the folder never sees a part.
        partial = Path(tempfile.mkdtemp(prefix=".export-", dir=to))
    except OSError as error:
        raise InputError(f"cannot write to {to}: {error}") from error
    try:
        module = _serving_module(detector)
        tf.saved_model.save(module, str(partial), signatures={"serving_default": module.serve})
        extra = partial / "assets.extra"
        extra.mkdir()
        (extra / "classes.json").write_text(json.dumps(list(class_names)) + "\n")
        partial.chmod(0o755)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _serving_module(detector: Detector) -> tf.Module:
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.uint8, "images"),
            tf.TensorSpec([None, None, 4], tf.float32, "proposals"),
        ]
    )
    def serve(images, proposals):
        with portable_ops():
            boxes, scores, classes, count = detector.detect_batch(images, proposals)
        height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
        x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
        return {
            "detection_boxes": tf.stack(
                [y1 / height, x1 / width, y2 / height, x2 / width], axis=-1
            ),
            "detection_scores": scores,
            "detection_classes": tf.cast(classes, tf.float32),
            "num_detections": tf.cast(count, tf.float32),
        }

    module = tf.Module()
    module.serve = serve
    # The variables alone, not the Keras model: its own traces would bring the custom op along.
    module.weights = [v.value for v in detector.model.variables]
    return module
