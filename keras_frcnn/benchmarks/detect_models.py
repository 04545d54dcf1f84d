"""Writes the models of `keras-frcnn bench detect`: exports, their parts, and the ONNX graph.

In a process of its own, because what is left in memory would be missing where time is measured.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frcnn.benchmarks.detect_steps import (
    CUSTOM,
    ONNX_FILE,
    PORTABLE,
    Inputs,
    Source,
)
from keras_frcnn.data.preprocessing import box_scale, scale_image, scaled_size
from keras_frcnn.detection.detector import Detector
from keras_frcnn.detection.postprocess import postprocess
from keras_frcnn.export.frozen import TracedDetector
from keras_frcnn.export.precision import with_precision
from keras_frcnn.export.saved_model import OP_NAMESPACE, export_saved_model
from keras_frcnn.export.svd import compress
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.heads import REGION_LAYER
from keras_frcnn.models.trunks import TRUNKS
from keras_frcnn.runs.directory import load_detector

# In a trained detector most proposals are background; with random weights none would be, and
# suppression would have 40000 boxes to sort. With this bias few pass the threshold.
BACKGROUND_BIAS = 4.0
CROP = 224  # pixels a side of R-CNN's warped proposals


def build_detector(source: Source) -> Detector:
    """The detector of a run in float32, or one with random weights."""
    if source.run is not None:
        detector, _ = load_detector(source.run)
        settings = {name: getattr(detector, name) for name in ("min_side", "max_side")}
        model = with_precision(detector.model, "float32")
        return Detector(model, detector.pixel_means, **settings)
    keras.utils.set_random_seed(0)
    names = map(str, range(source.num_classes))
    model = FastRCNN(names, source.trunk, None, fc_units=source.fc_units)
    bias = model.get_layer("cls_score").bias
    bias.assign(bias + BACKGROUND_BIAS * tf.one_hot(0, source.num_classes + 1))
    means = TRUNKS[source.trunk].pixel_means
    return Detector(model, means, source.min_side, source.max_side)


def make_inputs(detector: Detector, image: np.ndarray, proposals: np.ndarray) -> Inputs:
    """What the network of `detector` gets for an image."""
    size = scaled_size(image.shape[:2], detector.min_side, detector.max_side)
    scaled = scale_image(image[None], size, detector.pixel_means)
    rois = proposals * box_scale(image.shape[:2], size)
    return Inputs(image, proposals, scaled.numpy(), rois.numpy())


def count_distinct(detector: Detector, inputs: Inputs) -> int:
    """How many of the RoIs are left when those that pool the same cells are taken together."""
    pool = detector.model.get_layer(REGION_LAYER)
    return pool.distinct_rois(tf.constant(inputs.rois[None]))[0].shape[1]


def write_models(
    detector: Detector, svd: dict, inputs: Inputs, folder: Path, precisions: Sequence[str]
) -> None:
    """Write every build's export, the parts of the custom builds, and the ONNX graph.

    Args:
        detector: in float32.
        svd: arguments of `svd.compress`.
        inputs: whose shapes the ONNX graph gets.
        folder: where `export_path`, `parts_path` and `ONNX_FILE` will be.
        precisions: of the builds.
    """
    if find_spec("onnx"):
        from keras_frcnn.benchmarks.onnx_graph import write_onnx

        write_onnx(detector.model, folder / ONNX_FILE, inputs.scaled.shape[1:3], len(inputs.rois))
    names = [f"class {k + 1}" for k in range(detector.model.output["bbox_pred"].shape[2])]
    for is_compressed in (False, True):
        if is_compressed:
            settings = {name: getattr(detector, name) for name in ("min_side", "max_side")}
            model = compress(detector.model, **svd)
            detector = Detector(model, detector.pixel_means, **settings)
        for precision in precisions:
            for ops in (PORTABLE, CUSTOM):
                path = export_path(folder, precision, ops, is_compressed)
                export_saved_model(
                    detector, path.parent, names, int(path.name), ops=ops, precision=precision
                )
            write_parts(detector, precision, parts_path(folder, precision, is_compressed))


def export_path(folder: Path, precision: str, ops: str, svd: bool) -> Path:
    """Where a build's SavedModel is, as `export_saved_model` writes it."""
    return folder / f"export {precision} {ops}{' svd' * svd}" / "1"


def parts_path(folder: Path, precision: str, svd: bool) -> Path:
    """Where the SavedModel with the parts of a custom build is."""
    return folder / f"parts {precision}{' svd' * svd}"


def write_parts(detector: Detector, precision: str, path: Path) -> None:
    """Write a SavedModel whose signatures are the parts that `detect_pixels` is made of.

    `prepare`, `network`, `trunk`, `roi_pool`, `heads` and `suppress`; `rcnn` as well, which warps
    proposals of the scaled image and runs the same network on each.
    """
    model = with_precision(detector.model, precision)
    pool = model.get_layer(REGION_LAYER)
    features, _ = pool.input
    traced = TracedDetector(detector, model)
    # The same conversion of weights to constants as in the export, for the trunk by itself.
    traced_trunk = TracedDetector(detector, keras.Model(model.input, {"features": features}))
    heads = keras.Model(pool.output, model.output)
    float32 = tf.float32

    def spec(*shape, dtype=float32, name):
        return tf.TensorSpec(shape, dtype, name)

    images = spec(1, None, None, 3, name="images")
    rois = spec(1, None, 4, name="rois")
    k = model.output["bbox_pred"].shape[2]

    def prepare(image, proposals):
        size = tf.shape(image)[1:3]
        scaled = scaled_size(size, detector.min_side, detector.max_side)
        distinct, index = pool.distinct_rois(proposals * box_scale(size, scaled))
        images = scale_image(image, scaled, detector.pixel_means)
        return {"images": images, "rois": distinct, "index": index}

    def as_peers(outputs):
        probabilities = tf.nn.softmax(tf.cast(outputs["cls_score"], float32))
        return {"probabilities": probabilities, "deltas": outputs["bbox_pred"]}

    def network(images, rois):
        return as_peers(traced.network(images, rois))

    def trunk(images):
        no_rois = tf.zeros([1, 0, 4])
        return {"features": traced_trunk.network(images, no_rois)["features"]}

    def roi_pool(features, rois):
        return {"pooled": pool(features, rois)}

    def classify(pooled):
        return as_peers(heads(pooled, training=False))

    def suppress(probabilities, deltas, proposals, image_size):
        boxes, scores, classes, count = postprocess(
            probabilities,
            deltas,
            proposals,
            image_size,
            detector.score_threshold,
            detector.nms_iou,
            detector.max_detections,
        )
        return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}

    def rcnn(images, rois):
        return as_peers(rcnn_network(traced, images, rois, pool))

    specs = {
        prepare: [
            spec(1, None, None, 3, dtype=tf.uint8, name="image"),
            spec(1, None, 4, name="proposals"),
        ],
        network: [images, rois],
        trunk: [images],
        roi_pool: [spec(*features.shape, dtype=features.dtype, name="features"), rois],
        classify: [spec(*pool.output.shape, dtype=features.dtype, name="pooled")],
        suppress: [
            spec(1, None, k + 1, name="probabilities"),
            spec(1, None, k, 4, name="deltas"),
            spec(1, None, 4, name="proposals"),
            spec(2, dtype=tf.int32, name="image_size"),
        ],
        rcnn: [images, rois],
    }
    module = tf.Module()
    module.variables_of_network = [*traced.variables, *(w.value for w in heads.weights)]
    tf.saved_model.save(
        module,
        str(path),
        signatures={
            function.__name__: tf.function(
                function, input_signature=signature, autograph=False
            ).get_concrete_function()
            for function, signature in specs.items()
        },
        options=tf.saved_model.SaveOptions(
            namespace_whitelist=[OP_NAMESPACE], experimental_custom_gradients=False
        ),
    )


def rcnn_network(detector: Detector, images, rois, pool):
    """R-CNN literally (Girshick et al. 2014): each RoI [1, R, 4] warped and run by itself.

    A RoI over the whole warped image makes RoI pooling the trunk's last max pooling: 14 x 14 cells
    to 7 x 7.
    """
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32) - 1)
    x1, y1, x2, y2 = tf.unstack(rois[0], axis=-1)
    corners = tf.stack([y1 / height, x1 / width, y2 / height, x2 / width], axis=-1)
    index = tf.zeros([tf.shape(rois)[1]], tf.int32)
    crops = tf.image.crop_and_resize(images, corners, index, [CROP, CROP])
    last = CROP - 1 / pool.spatial_scale  # the corner of the last cell
    whole = tf.tile(tf.constant([[[0.0, 0.0, last, last]]]), [tf.shape(rois)[1], 1, 1])
    return detector.network(crops, whole)


def serve(
    pipe: Connection,
    threads: int,
    source: Source,
    svd: dict,
    image: np.ndarray,
    proposals: np.ndarray,
    folder: Path,
    precisions: Sequence[str],
) -> None:
    """Write all models once asked; answers with the `Inputs` and the number of distinct RoIs."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    pipe.recv()
    detector = build_detector(source)
    inputs = make_inputs(detector, image, proposals)
    write_models(detector, svd, inputs, folder, precisions)
    pipe.send((inputs, count_distinct(detector, inputs)))
    pipe.recv()  # until it is ended
